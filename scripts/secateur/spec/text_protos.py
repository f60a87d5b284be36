"""Read text protos, the spec files of TAO's TF1 releases: docs/decisions/spec-releases.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf import text_format

from secateur.errors import SpecError
from secateur.spec.notices import Notice
from secateur.spec.spec_text import KEYS, Budget, SpecText, joined_path, plain_value

SECTIONS_OF_TF1 = ("model_config", "train_config", "eval_config")
# Of other fields that appear twice, the last value counts, and messages are merged, as in TAO.
REPEATED = ("freeze_blocks", "model_parallelism", "annealing_points", "tags", "image_mean", "activation_parameters")
# Messages of which one is chosen by its name: the later one counts.
CHOICES = ("optimizer", "lr_config")
QUOTES, SEPARATORS = ("'", '"'), (",", ";")
BRACKETS = (("{", "}"), ("<", ">"))
MAX_DEPTH = 20
# The library takes the square of their number in steps.
MAX_BACKSLASHES = 100
TOO_DEEP, NO_END = "nested too deeply", "no %s at the end"
TOO_MANY_BACKSLASHES = f"more than {MAX_BACKSLASHES} backslashes in a row"
BEHIND_KEY = "the encryption key has more than one word: quote it"
OF_LIBRARY = ("Expected identifier", "String missing ending quote")
# The reasons that an error shows. Others quote the file, where the key is.
REASONS = (TOO_DEEP, *(NO_END % end for _, end in BRACKETS), BEHIND_KEY, TOO_MANY_BACKSLASHES, *OF_LIBRARY)


def parse_proto(text: str, name: str) -> SpecText:
    """The content of a text proto, with its own sections and keys.

    Args:
        text: of the file.
        name: of the file, for errors.

    Raises:
        SpecError: the text is not a text proto; the message names the line.
    """
    try:
        reader = _Reader(SpecText(name, {}, form="proto"), text)
        reader.parsed.values = reader.message("", end="", depth=0, fields={})
    except text_format.ParseError as error:
        line = error.GetLine() or "?"
        raise SpecError(f"{name}:{line}: not a text proto{_reason(error)}", "correct the line") from None
    return reader.parsed


def _reason(error: text_format.ParseError) -> str:
    found = str(error)
    return next((f": {reason}" for reason in REASONS if reason in found), "")


class _Tokens(text_format.Tokenizer):
    """Tokens that know their line. The errors of the library quote it: a copy of a long line for every token."""

    def __init__(self, text: str) -> None:
        self.line = 0
        super().__init__(self._counted(text.splitlines()))

    def _counted(self, lines: list[str]) -> Iterator[str]:
        for self.line, line in enumerate(lines, start=1):
            yield line

    def NextToken(self) -> None:  # noqa: N802 -- the name in protobuf
        super().NextToken()
        if "\\" * (MAX_BACKSLASHES + 1) in self.token:
            raise self.ParseError(TOO_MANY_BACKSLASHES)

    def ParseError(self, message: str) -> text_format.ParseError:  # noqa: N802 -- the name in protobuf
        return text_format.ParseError(message, self.line)


class _Reader:
    """Turns tokens into plain data, keeps their lines and counts the values."""

    def __init__(self, parsed: SpecText, text: str) -> None:
        self.parsed = parsed
        self.tokens = _Tokens(text)
        self.budget = Budget(parsed.name)

    def message(self, path: str, end: str, depth: int, fields: dict[str, Any]) -> dict[str, Any]:
        """Read the fields up to `end` into `fields`, which has those of an earlier message of this name."""
        if depth > MAX_DEPTH:
            raise self.tokens.ParseError(TOO_DEEP)
        while not (self.tokens.TryConsume(end) if end else self.tokens.AtEnd()):
            if self.tokens.AtEnd():
                raise self.tokens.ParseError(NO_END % end)
            self.budget.spend()
            line = self._line()
            key = self.tokens.ConsumeIdentifier()
            dotted = joined_path(path, key, f"{self.parsed.name}:{line}")
            self.parsed.lines[dotted] = line
            self.tokens.TryConsume(":")
            self._field(fields, key, dotted, depth)
            self.tokens.TryConsume(",") or self.tokens.TryConsume(";")
        return fields

    def _field(self, fields: dict[str, Any], key: str, path: str, depth: int) -> None:
        """Read the value of a field into its message."""
        end = self._opened()
        if path in KEYS and not end:
            fields[key] = self._key()
            return
        if not end or key in REPEATED:
            value = self.message(path, end, depth + 1, {}) if end else self._value(path, depth)
            if key in REPEATED:
                fields.setdefault(key, []).extend(value if isinstance(value, list) else [value])
            else:
                fields[key] = value
            return
        self._choose(fields, key, path)
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

    def _line(self) -> int:
        return self.tokens.line or 1

    def _opened(self) -> str:
        """The bracket that ends the message that begins here; empty if none begins."""
        return next((end for start, end in BRACKETS if self.tokens.TryConsume(start)), "")

    def _key(self) -> Any:
        """The encryption key. A second word without quotes would be a field, whose name an error shows."""
        quoted, line = self.tokens.token[:1] in QUOTES, self._line()
        value = self._value("", 0)
        if not quoted and not self.tokens.AtEnd() and self._line() == line and self.tokens.token not in SEPARATORS:
            raise self.tokens.ParseError(BEHIND_KEY)
        return value

    def _value(self, path: str, depth: int) -> Any:
        self.budget.spend()
        end = self._opened()
        if end:
            return self.message(path, end, depth + 1, {})
        return self._list(path, depth) if self.tokens.TryConsume("[") else self._scalar()

    def _list(self, path: str, depth: int) -> list[Any]:
        if depth > MAX_DEPTH:
            raise self.tokens.ParseError(TOO_DEEP)
        found: list[Any] = []
        while not self.tokens.TryConsume("]"):
            found.append(self._value(path, depth + 1))
            self.tokens.TryConsume(",")
        return found

    def _scalar(self) -> Any:
        where = f"{self.parsed.name}:{self._line()}"
        return plain_value(self._plain(), where)

    def _plain(self) -> Any:
        if self.tokens.token[:1] in QUOTES:
            return self.tokens.ConsumeString()
        for read in (self.tokens.ConsumeInteger, self.tokens.ConsumeFloat):
            try:
                return read()
            except text_format.ParseError:
                continue
        word = self.tokens.ConsumeIdentifier()
        return {"true": True, "false": False}.get(word.lower(), word)
