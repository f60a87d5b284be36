"""Class names and their indices. The split step writes them once; every other step reads them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from secateur.errors import DataError
from secateur.storage.atomic import read_json, write_json

MIN_CLASSES = 2


def class_order(names: set[str]) -> list[str]:
    """Classes in index order: sorted by name as text, as TAO does, so that `10` comes before `2`."""
    return sorted(names)


def class_name_of(written: str, where: str) -> str:
    """A class name in Unicode NFC, since systems encode letters in different ways.

    Raises:
        DataError: the name cannot be a line of labels.txt.
    """
    name = unicodedata.normalize("NFC", written)
    if not name or any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name):
        raise DataError(
            f"{where} {written!a} has a line break in its name, or its name is not valid UTF-8", "rename it"
        )
    return name


def labels_of(names: Iterable[str], classes: Sequence[str]) -> list[int]:
    """The class index of each image, from the names of the classes."""
    index = {name: position for position, name in enumerate(classes)}
    return [index[name] for name in names]


def write_classmap(path: Path | str, names: list[str]) -> None:
    """Write {class name: index}, as TAO does: docs/decisions/class-order.md."""
    write_json(path, {name: index for index, name in enumerate(names)})


def read_classmap(path: Path | str) -> list[str]:
    """Class names in index order.

    Raises:
        ArtifactError: the file cannot be read.
        DataError: the file does not map the names to 0..n-1, each number once, or a name is not possible.
    """
    mapping = read_json(path, 'give a class map like {"cat": 0, "dog": 1}')
    known = isinstance(mapping, dict) and len(mapping) >= MIN_CLASSES
    if not known or sorted(map(str, mapping.values())) != sorted(map(str, range(len(mapping)))):
        raise DataError(f"{path}: not a class map", 'it must look like {"cat": 0, "dog": 1}')
    names = [class_name_of(name, f"{path}: the class") for name in sorted(mapping, key=lambda name: int(mapping[name]))]
    if len(set(names)) < len(names):
        raise DataError(f"{path}: two classes have the same name, in different encodings", "rename one of them")
    return names
