"""A spec in V1's words, and its connection with the words of the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from secateur.spec.notices import Notice
from secateur.spec.spec_text import SpecText, named
from secateur.spec.tao_releases import Found


@dataclass
class Translated:
    """A spec in V1's words.

    Attributes:
        parsed: the file.
        found: its release, and the evidence.
        values: sections and keys of V1, with the defaults of the release.
        explicit: dotted paths of V1 that the file sets.
        renamed: path of V1 -> path in the file, for keys with another name there.
        overridden: path of V1 that the command line sets -> the path as it is written there.
        no_key: whether the file says that there is no key.
        notices: remarks about the keys of the file.
    """

    parsed: SpecText
    found: Found
    values: dict[str, Any]
    explicit: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)
    overridden: dict[str, str] = field(default_factory=dict)
    no_key: bool = False
    notices: list[Notice] = field(default_factory=list)

    def written(self, dotted: str) -> str:
        """The path on the command line or in the file for a path of V1."""
        return self._source(dotted)[1]

    def on_command_line(self, dotted: str) -> bool:
        """Whether the command line sets the value at a path of V1, or a section around it."""
        return self._source(dotted)[0]

    def _source(self, dotted: str) -> tuple[bool, str]:
        """Whether the value at a path of V1 is from the command line, and the path as it is written.

        The longest known part of the path decides.
        """
        for head, rest in _heads(dotted):
            for names in (self.overridden, self.renamed):
                if head in names:
                    return names is self.overridden, f"{names[head]}{rest}"
        return False, dotted

    def override(self, dotted: str, written: str) -> None:
        """Note that the command line sets the value at a path of V1, where the path is written so."""
        for names in (self.overridden, self.renamed):
            for path in [path for path in names if path.startswith(f"{dotted}.")]:
                del names[path]
        self.overridden[dotted] = written

    def where(self, dotted: str) -> str:
        """`file:line: key` for a path of V1, in its words, or `command line: key` where the value is from there."""
        if self.on_command_line(dotted):
            return f"command line: {named(self.written(dotted))}"
        if dotted in self.parsed.origin:
            return self.parsed.origin[dotted]
        return self.parsed.place(self.written(dotted))

    def note(self, kind: Any, dotted: str, text: str) -> None:
        """Add a remark about a key."""
        self.notices.append(Notice(kind, self.written(dotted), text))


def _heads(dotted: str) -> Iterator[tuple[str, str]]:
    """A path and its parents, each with what follows it: (a.b.c, ""), (a.b, .c), (a, .b.c)."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        yield ".".join(parts[:end]), "".join(f".{part}" for part in parts[end:])


def holder_of(values: dict[str, Any], path: str, make: bool = False) -> tuple[dict[str, Any] | None, str]:
    """The section that holds a dotted path, and the name of the key there; None if a section is absent.

    Args:
        values: the root.
        path: the dotted path.
        make: create absent sections.
    """
    *sections, name = path.split(".")
    holder: Any = values
    for section in sections:
        if make and holder.get(section) is None:
            holder[section] = {}
        holder = holder.get(section)
        if not isinstance(holder, dict):
            return None, name
    return holder, name


def value_at(values: dict[str, Any], path: str) -> Any:
    """The value at a dotted path; None if a section or the key is absent."""
    holder, name = holder_of(values, path)
    return None if holder is None else holder.get(name)


def pop_at(values: dict[str, Any], path: str) -> Any:
    """Remove the value at a dotted path and return it; None if it is absent."""
    holder, name = holder_of(values, path)
    return None if holder is None else holder.pop(name, None)


def plain_copy(value: Any) -> Any:
    """A copy of nested dicts and lists."""
    if isinstance(value, dict):
        return {key: plain_copy(item) for key, item in value.items()}
    return [plain_copy(item) for item in value] if isinstance(value, list) else value


def paths_of(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted paths of all sections and keys."""
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from paths_of(value, f"{prefix}{key}.")


def as_written(renamed: dict[str, str], path: str) -> str:
    """The path in the file, also if its section was renamed before."""
    section, _, key = path.partition(".")
    return f"{renamed[section]}.{key}" if key and section in renamed else path


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `base` with those of `over` in their place, section by section."""
    found = dict(base)
    for name, value in over.items():
        here = found.get(name)
        found[name] = merged(here, value) if isinstance(here, dict) and isinstance(value, dict) else value
    return found
