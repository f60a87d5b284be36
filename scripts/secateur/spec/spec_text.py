"""The content of a spec file as plain data, with the line of every key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from secateur.spec.notices import Notice

MAX_FILE_BYTES = 1 << 20
# A spec has a few hundred values; anchors that expand to more values than this are an attack or a mistake.
MAX_VALUES = 20_000
MAX_DEPTH = 100
MAX_INTEGER = 2**63

Form = Literal["yaml", "json", "proto"]


@dataclass
class SpecText:
    """A parsed file.

    Attributes:
        name: of the file, for errors.
        values: its content as dicts, lists and scalars.
        lines: dotted path -> line number, from 1.
        form: the language of the file.
        origin: dotted path -> `file:line: key`, for a spec that was joined from several files.
        release: of the joined files; empty if the words of the file decide.
        notices: remarks about its words.
    """

    name: str
    values: dict[str, Any]
    lines: dict[str, int] = field(default_factory=dict)
    form: Form = "yaml"
    origin: dict[str, str] = field(default_factory=dict)
    release: str = ""
    notices: list[Notice] = field(default_factory=list)

    def at(self, dotted: str) -> str:
        """`file:line` of a key, or of its nearest parent that is in the file."""
        if dotted in self.origin:
            return self.origin[dotted].rpartition(": ")[0]
        line = self.line(dotted)
        return f"{self.name}:{line}" if line else self.name

    def line(self, dotted: str) -> int | None:
        """The line of a key, or of its nearest parent that is in the file; None if the file has neither."""
        path = dotted
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return self.lines[path] if path else None
