"""The new spec while it is made from one of classification_pyt: its values, and what its comments say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from secateur.spec.pytorch.pytorch_file import File, leaves, value_at
from secateur.spec.pytorch.pytorch_forms import Era
from secateur.spec.pytorch.pytorch_tables import WORDS, Row, Words
from secateur.spec.spec import Spec

DEFAULT = "the default of classification_pyt"
# Longest value in a comment.
SHOWN = 60
SECRET = re.compile(r"key|token|password|secret|credential", re.IGNORECASE)


@dataclass
class Draft:
    """The new spec.

    Attributes:
        file: the old one.
        era: its release.
        values: nested values.
        comments: path here -> comment behind the key.
        origins: path here -> path in the file.
        remarks: lines for the head.
        told: paths in the file that the remarks name.
        lost: path in the file -> why it is not carried over, where the tables do not say it.
    """

    file: File
    era: Era
    values: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    lost: dict[str, str] = field(default_factory=dict)

    @property
    def words(self) -> Words:
        """The paths and defaults of the release."""
        return WORDS[self.era]

    @property
    def is_six(self) -> bool:
        """Whether the file is of TAO 6.x."""
        return self.era is Era.LIGHTNING

    def put(self, target: str, value: Any, source: str) -> None:
        """Set a value. If the file does not set it, and it is also secateur's default, it is left out."""
        given = source in self.file.used
        if not given and value == _own_default(target):
            return
        if isinstance(value, str):
            value = value.replace("${", "\\${")  # references were replaced; what is left is plain text
        *sections, name = target.split(".")
        holder = self.values
        for section in sections:
            holder = holder.setdefault(section, {})
        holder[name] = value
        self.origins[target] = source
        self.comments[target] = source if given else DEFAULT

    def differs(self, path: str, text: str) -> None:
        """Say that a key means something different; the keys below it are then told too."""
        self.remarks.append(f"different: {self.place(path)}: {text}")
        self.told.add(path)

    def lose(self, path: str, reason: str) -> None:
        """Say that a key of the file is not carried over."""
        self.lost[path] = reason

    def place(self, path: str) -> str:
        """A key, its line and its value, for a comment."""
        if not self.file.has(path) and not path.rpartition(".")[2].isdigit():
            return f"{path} (absent)"
        return f"{path} (line {self.file.line(path)}): {shown(path, value_at(self.file.parsed.values, path))}"


def _own_default(target: str) -> Any:
    found: Any = Spec()
    for name in target.split("."):
        found = getattr(found, name, None)
    return found


def shown(path: str, value: Any) -> str:
    """A value in a comment: short, and never a secret."""
    if SECRET.search(path.rpartition(".")[2]):
        return "***"
    if isinstance(value, dict):
        return f"{len(list(leaves(value, '')))} keys" if len(value) != 1 else "1 key"
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def carry_rows(draft: Draft, rows: Iterable[Row]) -> None:
    """Carry over the keys of a table, with their defaults in classification_pyt."""
    for row in rows:
        read = {"text": draft.file.text, "whole": draft.file.whole, "number": draft.file.number}[row.kind]
        value = read(row.source)
        if value is None:
            value = row.default
        if value is not None:
            draft.put(row.target, value, row.source)


def texts_at(draft: Draft, path: str) -> list[str]:
    """The texts at a path, none if it is absent. Raises SpecError if the value is no text and no list of texts."""
    value = draft.file.value(path)
    texts = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(text, str) for text in texts):
        raise draft.file.wrong(path, "a list of texts")
    return texts


def short(number: float) -> float:
    """A number rounded to six significant digits."""
    return float(f"{number:.6g}")
