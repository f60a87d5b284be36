"""Typed values of a spec of classification_pyt, with errors that name file, line and key."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from secateur.errors import SpecError
from secateur.spec.spec_text import SpecText


class File:
    """Reads typed values of a file, and keeps which of them were read.

    Args:
        parsed: the file.
    """

    def __init__(self, parsed: SpecText) -> None:
        self.parsed = parsed
        self.used: set[str] = set()

    def has(self, path: str) -> bool:
        """Whether the file has a key, also without a value. Raises SpecError as `value`."""
        holder = self._holder(path)
        return isinstance(holder, dict) and path.rpartition(".")[2] in holder

    def _holder(self, path: str) -> Any:
        """The mapping or list that has the last part of a path; None if it is absent."""
        found: Any = self.parsed.values
        parts = path.split(".")
        for index, part in enumerate(parts[:-1]):
            found = found[int(part)] if isinstance(found, list) else found.get(part)
            if found is None or found == "":
                return None
            inside = parts[index + 1]
            if not isinstance(found, dict) and not (isinstance(found, list) and inside.isdigit()):
                raise self.wrong(".".join(parts[: index + 1]), "a section of keys")
        return found

    def value(self, path: str) -> Any:
        """The value at a dotted path, None if it is absent or empty. Raises SpecError if a section is no mapping."""
        holder = self._holder(path)
        name = path.rpartition(".")[2]
        value = holder.get(name) if isinstance(holder, dict) else holder[int(name)] if holder else None
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        self.used.add(path)
        return value

    def text(self, path: str) -> str | None:
        """A text. Raises SpecError if the value is not one."""
        value = self.value(path)
        if value is not None and (isinstance(value, bool) or not isinstance(value, str | int | float)):
            raise self.wrong(path, "a text")
        return None if value is None else str(value)

    def number(self, path: str) -> float | None:
        """A finite number; TAO's loader also reads `1e-3`, a text in YAML. Raises SpecError for other values."""
        value = self.value(path)
        return None if value is None else self._number(path, value)

    def _number(self, path: str, value: Any) -> float:
        if not isinstance(value, bool) and isinstance(value, str | int | float):
            try:
                found = float(value)
            except (ValueError, OverflowError):
                found = math.nan
            if math.isfinite(found):
                return found
        raise self.wrong(path, "a number")

    def whole(self, path: str) -> int | None:
        """A whole number. Raises SpecError if the value is not one."""
        found = self.number(path)
        if found is not None and not found.is_integer():
            raise self.wrong(path, "a whole number")
        return None if found is None else int(found)

    def flag(self, path: str) -> bool | None:
        """True or False. Raises SpecError for other values."""
        value = self.value(path)
        if value is None or isinstance(value, bool):
            return value
        known = {"true": True, "false": False, "1": True, "0": False}
        if str(value).strip().lower() not in known:
            raise self.wrong(path, "true or false")
        return known[str(value).strip().lower()]

    def numbers(self, path: str) -> list[float] | None:
        """A list of numbers, or one number. Raises SpecError for other values."""
        value = self.value(path)
        if value is None:
            return None
        return [self._number(path, part) for part in (value if isinstance(value, list) else [value])]

    def entries(self, path: str) -> list[str] | None:
        """The paths of the mappings in a list. Raises SpecError if the value is no list of mappings."""
        value = self.value(path)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self.wrong(path, "a list")
        for index, entry in enumerate(value):
            if not isinstance(entry, dict):
                raise self.wrong(f"{path}.{index}", "a section of keys")
        return [f"{path}.{index}" for index in range(len(value))]

    def section(self, path: str) -> Mapping[str, Any] | None:
        """The section at a path; None if it is absent. Raises SpecError if it is something else."""
        value = self.value(path)
        self.used.discard(path)
        if value is not None and not isinstance(value, dict):
            raise self.wrong(path, "a section of keys")
        return value

    def line(self, path: str) -> int | None:
        """The line of a key; of an entry of a list: of its first key."""
        lines = self.parsed.lines
        below = [lines[key] for key in lines if key.startswith(f"{path}.")] if path not in lines else []
        return min(below) if below else self.parsed.line(path)

    def wrong(self, path: str, expected: str) -> SpecError:
        """The error for a value that is not what the key needs."""
        return SpecError(one_line(f"{self.parsed.at(path)}: {path} must be {expected}"), "correct the value")


def value_at(values: Any, path: str) -> Any:
    """The value at a dotted path; a part of it may be the place in a list."""
    for part in path.split("."):
        values = values[int(part)] if isinstance(values, list) else values[part]
    return values


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The values of a file with their dotted paths; a list of plain values is one value."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{index}")
    else:
        yield path, value


def one_line(text: str) -> str:
    """A text without line breaks and control characters, which could end a comment."""
    return "".join(character if character.isprintable() else " " for character in text)
