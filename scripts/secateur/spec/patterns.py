"""Patterns of names with `*`, `?` and `[...]`, as in a shell."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that match a pattern: the pattern itself if it is a name, else all matches. Case counts."""
    return [name for name in names if name == pattern or fnmatchcase(name, pattern)]
