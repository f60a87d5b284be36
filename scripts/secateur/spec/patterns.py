"""Names with `*`, `?` and `[...]`, as shells have them."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that a pattern means: the name itself, or all that match its wildcards. Case counts."""
    return [name for name in names if name == pattern or fnmatchcase(name, pattern)]
