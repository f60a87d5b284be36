"""The content of a spec file as plain data, with the line of every key."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from secateur.errors import SpecError
from secateur.spec.notices import Notice

MAX_FILE_BYTES = 1 << 20
# A spec has a few hundred values; anchors that expand to more values than this are an attack or a mistake.
MAX_VALUES = 20_000
MAX_DEPTH = 100
MAX_INTEGER = 2**63
# The name of a folder, which names a class, has at most 255 bytes. The line of every path is kept.
MAX_KEY_CHARACTERS, MAX_PATH_CHARACTERS = 300, 1000
# The keys that hold the passphrase.
KEYS = ("key", "encryption_key")
# A path has at most 4096 bytes.
MAX_TEXT_CHARACTERS = 10_000
MAX_SHOWN = 500
# What follows such a key in a path can be a part of the passphrase: `key.word`, `key:word`.
KEY_AND_MORE = re.compile(r"((?:encryption_)?key)[^\w].*", re.DOTALL)
SURROGATE = re.compile("[\ud800-\udfff]")

Form = Literal["yaml", "json", "proto"]


def named(dotted: str) -> str:
    """A dotted path for a message, without what can be a part of the passphrase."""
    found = KEY_AND_MORE.fullmatch(dotted)
    return found[1] if found else dotted


def shortened(text: str) -> str:
    """A text for a message, without its end if it is long."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def plain_value(value: Any, where: str) -> Any:
    """A scalar that paths, files and reports can hold; a key of a section too.

    Raises:
        SpecError: a text is too long or has a character that no file can hold, or a number has more than 64 bits.
    """
    if isinstance(value, str) and len(value) > MAX_TEXT_CHARACTERS:
        raise SpecError(f"{where}: a text has more than {MAX_TEXT_CHARACTERS} characters", "write a shorter one")
    if isinstance(value, str) and "\0" in value:
        raise SpecError(f"{where}: a text has a null character", "remove it")
    if isinstance(value, str) and SURROGATE.search(value):
        raise SpecError(f"{where}: a text has half of a character", "write the whole character, in UTF-8")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise SpecError(f"{where}: the number has too many digits", "write a smaller number")
    if isinstance(value, bytes):
        raise SpecError(f"{where}: a spec has no binary values", "write words or numbers")
    return value


def joined_path(path: str, key: str, where: str) -> str:
    """The dotted path of a key below `path`. Raises SpecError if the key or the path is too long."""
    dotted = f"{path}.{key}" if path else key
    if len(key) > MAX_KEY_CHARACTERS or len(dotted) > MAX_PATH_CHARACTERS:
        raise SpecError(
            f"{where}: a key has more than {MAX_KEY_CHARACTERS} characters, or more than {MAX_PATH_CHARACTERS} with "
            "its sections",
            "write the text as a value",
        )
    return dotted


@dataclass
class Budget:
    """The values, and the characters of texts, that a file can still have when anchors and references are replaced."""

    name: str
    values: int = MAX_VALUES
    # No text without repetitions is longer than its file.
    characters: int = MAX_FILE_BYTES

    def spend(self, value: Any = None) -> None:
        """Count a value. Raises SpecError if there are too many."""
        self.values -= 1
        self.characters -= len(value) if isinstance(value, str) else 0
        if self.values < 0:
            raise SpecError(f"{self.name}: more than {MAX_VALUES} values", "remove anchors and references")
        if self.characters < 0:
            raise SpecError(
                f"{self.name}: more than {MAX_FILE_BYTES} characters of text", "remove anchors and references"
            )


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
        candidates: the releases that the joined files can be of, if their words do not settle it.
        notices: remarks about its words.
        variables: environment variable -> `file:line: key` of the first value in which it stands; not those of the key.
    """

    name: str
    values: dict[str, Any]
    lines: dict[str, int] = field(default_factory=dict)
    form: Form = "yaml"
    origin: dict[str, str] = field(default_factory=dict)
    release: str = ""
    candidates: tuple[str, ...] = ()
    notices: list[Notice] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def place(self, dotted: str) -> str:
        """`file:line: key` of a key, for a message."""
        return f"{self.at(dotted)}: {named(dotted)}"

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
