"""Read text protos, the spec files of TAO's TF1 releases: docs/decisions/spec-releases.md."""

from __future__ import annotations

from typing import Any

from google.protobuf import text_format

from secateur.errors import SpecError
from secateur.spec.notices import Notice
from secateur.spec.spec_text import MAX_VALUES, SpecText

SECTIONS_OF_TF1 = ("model_config", "train_config", "eval_config")
# Of other fields that appear twice, the last value counts, and messages are merged, as in TAO.
REPEATED = ("freeze_blocks", "model_parallelism", "annealing_points", "tags", "image_mean", "activation_parameters")
# Messages of which one is chosen by its name: the later one counts.
CHOICES = ("optimizer", "lr_config")
BRACKETS = (("{", "}"), ("<", ">"))
MAX_DEPTH = 20


def parse_proto(text: str, name: str) -> SpecText:
    """The content of a text proto, with its own sections and keys.

    Args:
        text: of the file.
        name: of the file, for errors.

    Raises:
        SpecError: the text is not a text proto; the message names the line.
    """
    reader = _Reader(SpecText(name, {}, form="proto"), text)
    try:
        reader.parsed.values = reader.message("", end="", depth=0, fields={})
    except text_format.ParseError as error:
        line = error.GetLine() or "?"
        raise SpecError(f"{name}:{line}: not a text proto: {_reason(error)}", "correct the line") from None
    return reader.parsed


def _reason(error: text_format.ParseError) -> str:
    return str(error).rpartition(": ")[2]


class _Reader:
    """Turns tokens into plain data, keeps their lines and counts the values."""

    def __init__(self, parsed: SpecText, text: str) -> None:
        self.parsed = parsed
        self.tokens = text_format.Tokenizer(text.splitlines())
        self.budget = MAX_VALUES

    def message(self, path: str, end: str, depth: int, fields: dict[str, Any]) -> dict[str, Any]:
        """Read the fields up to `end` into `fields`, which has those of an earlier message of this name."""
        if depth > MAX_DEPTH:
            raise self.tokens.ParseError("nested too deeply")
        while not (self.tokens.TryConsume(end) if end else self.tokens.AtEnd()):
            if self.tokens.AtEnd():
                raise self.tokens.ParseError(f"no {end} at the end")
            line = self.tokens.ParseError("").GetLine()
            key = self.tokens.ConsumeIdentifier()
            dotted = f"{path}.{key}" if path else key
            self.parsed.lines[dotted] = line or 1
            self.tokens.TryConsume(":")
            self._field(fields, key, dotted, depth)
            self.tokens.TryConsume(",") or self.tokens.TryConsume(";")
        return fields

    def _field(self, fields: dict[str, Any], key: str, path: str, depth: int) -> None:
        """Read the value of a field into its message."""
        end = next((end for start, end in BRACKETS if self.tokens.TryConsume(start)), "")
        if not end or key in REPEATED:
            value = self.message(path, end, depth + 1, {}) if end else self._value(path, depth)
            fields[key] = _repeated(fields.get(key, []), value) if key in REPEATED else value
            return
        self._choose(fields, key, path)
        self._count()
        before = fields.get(key)
        fields[key] = self.message(path, end, depth + 1, before if isinstance(before, dict) else {})

    def _choose(self, fields: dict[str, Any], key: str, path: str) -> None:
        """Remove the other members of a message in which only one can be set: the later one counts."""
        message = path.removesuffix(f".{key}")
        others = [name for name in fields if name != key and isinstance(fields[name], dict)]
        if message.rpartition(".")[2] not in CHOICES or not others:
            return
        for name in others:
            del fields[name]
        text = f"holds {', '.join(others)}, {key}; the last one, {key}, counts"
        self.parsed.notices.append(Notice("warning", message, text))

    def _count(self) -> None:
        self.budget -= 1
        if self.budget < 0:
            raise self.tokens.ParseError(f"more than {MAX_VALUES} values")

    def _value(self, path: str, depth: int) -> Any:
        self._count()
        end = next((end for start, end in BRACKETS if self.tokens.TryConsume(start)), "")
        if end:
            return self.message(path, end, depth + 1, {})
        return self._list(path, depth) if self.tokens.TryConsume("[") else self._scalar()

    def _list(self, path: str, depth: int) -> list[Any]:
        if depth > MAX_DEPTH:
            raise self.tokens.ParseError("nested too deeply")
        found: list[Any] = []
        while not self.tokens.TryConsume("]"):
            found.append(self._value(path, depth + 1))
            self.tokens.TryConsume(",")
        return found

    def _scalar(self) -> Any:
        if self.tokens.token[:1] in ("'", '"'):
            return self.tokens.ConsumeString()
        for read in (self.tokens.ConsumeInteger, self.tokens.ConsumeFloat):
            try:
                return read()
            except text_format.ParseError:
                continue
        word = self.tokens.ConsumeIdentifier()
        return {"true": True, "false": False}.get(word.lower(), word)


def _repeated(before: list[Any], value: Any) -> list[Any]:
    return [*before, *(value if isinstance(value, list) else [value])]
