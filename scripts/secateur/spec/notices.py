"""Remarks of the loader that the author of a spec should read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

# release: which release the file is of, and the evidence. differs: TAO does something else with the value.
Kind = Literal["release", "renamed", "no effect", "missing", "differs", "warning"]


@dataclass(frozen=True)
class Notice:
    """One remark about one key.

    Attributes:
        kind: what the remark is about.
        key: dotted path in the file; empty for the whole file.
        text: the remark.
    """

    kind: Kind
    key: str
    text: str

    def __str__(self) -> str:
        words = ": ".join(part for part in (self.kind, self.key, self.text) if part)
        # A line break in a value must not begin a new line in a converted file.
        return " ".join(words.splitlines())


def shown_by_steps(notices: Iterable[Notice]) -> Iterator[Notice]:
    """The remarks that a step prints: warnings, missing values, and which release the file is of.

    `secateur check` prints all.
    """
    releases = 0
    for notice in notices:
        releases += notice.kind == "release"
        if notice.kind in ("warning", "missing") or (notice.kind == "release" and releases == 1):
            yield notice
