"""Remarks of the loader that the author of a spec should read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Notice:
    """One remark about one key.

    Attributes:
        kind: `renamed`, `no effect` or `warning`.
        key: dotted path in the file.
        text: the remark.
    """

    kind: Literal["renamed", "no effect", "warning"]
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.key}: {self.text}"
