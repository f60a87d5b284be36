"""Read the folders of a source as classes, or as splits that hold the classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from secateur.errors import DataError, names_of

SPLITS = ("train", "val", "test")
# Names that other programs give to the splits.
SPLIT_WORDS = {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "eval": "val",
    "dev": "val",
    "testing": "test",
    "holdout": "test",
}
# Folders of images without labels, which a classifier cannot learn from.
UNLABELLED = frozenset({"unlabeled", "unlabelled", "unlabeled_data", "unsup"})
MOST_NAMED = 6
_named = partial(names_of, most=MOST_NAMED)

Layout = Literal["auto", "classes", "splits"]


@dataclass(frozen=True)
class Reading:
    """How the folders of a source are read.

    Attributes:
        splits: split -> folder; empty if the folders are classes.
        without_labels: folders whose images have no class, and are left out.
    """

    splits: dict[str, str]
    without_labels: list[str]


CLASSES = Reading({}, [])


def split_of(folder: str) -> str | None:
    """The split that a folder's name means; None if it means none."""
    name = folder.casefold()
    return SPLIT_WORDS.get(name, name if name in SPLITS else None)


def reading(root: str, key: str, folders: list[str], holds_folders: Callable[[str], bool], layout: Layout) -> Reading:
    """Decide between classes and splits by the names of the folders and by what is in them.

    A split holds a folder for each class, a class holds images: a class may be called `train`.

    Args:
        root: of the folders, for errors.
        key: the spec key that names it, for errors.
        folders: names of the folders.
        holds_folders: whether a folder holds other folders.
        layout: `data.layout`.

    Raises:
        DataError: both readings are possible, or neither.
    """
    if layout == "classes":
        return CLASSES
    named = {name: split_of(name) for name in folders}
    known = [name for name in folders if named[name] or name.casefold() in UNLABELLED]
    splits = [name for name in known if named[name] and holds_folders(name)]
    others = [name for name in folders if name not in known]
    if layout == "auto" and (not known or (not splits and others)):
        return CLASSES
    if not splits and layout == "splits":
        raise DataError(
            f"{key}: data.layout is splits, but {root} has the folders {_named(folders)}: none has the name of a split "
            "and folders for classes in it",
            "remove data.layout, or name the folders train, val and test",
        )
    if not splits:
        raise DataError(
            f"{key}: {root} has the folders {_named(folders)}, which are splits by their names, but no folders for "
            "classes in them",
            "put the images of each class into a folder, such as train/cat; or set data.layout: classes",
        )
    if others and layout == "auto":
        raise DataError(
            f"{key}: {root} can be read in two ways: as {len(folders)} classes ({_named(folders)}), or as the splits "
            f"{_named(splits)} beside the other folders {_named(others)}",
            "set data.layout: classes or data.layout: splits",
        )
    return _as_splits(root, key, splits, [name for name in folders if name not in splits])


def refuse_splits_in_classes(root: str, key: str, inside: Iterable[list[str]]) -> None:
    """Refuse class folders that all hold folders with the names of splits, and no others: `cat/train`, `cat/test`.

    Args:
        root: of the class folders, for errors.
        key: the spec key that names it, for errors.
        inside: the names of the folders in each class folder; only as many are listed as decide it.

    Raises:
        DataError: the images of these splits would be mixed.
    """
    names: set[str] = set()
    for folders in inside:
        if not folders or not all(map(split_of, folders)):
            return
        names.update(folders)
    if len({split_of(name) for name in names}) > 1:
        shown = _named(sorted(names))
        raise DataError(
            f"{key}: the class folders of {root} hold the folders {shown}, which are splits by their names",
            "put the splits above the classes, such as train/cat; or set data.layout: classes to mix the images",
        )


def _as_splits(root: str, key: str, splits: list[str], rest: list[str]) -> Reading:
    found: dict[str, str] = {}
    for name in splits:
        split = split_of(name) or ""
        if split in found:
            raise DataError(
                f"{key}: {root} has two folders for {split}: {found[split]} and {name}",
                "rename or move one of them; or set data.layout: classes",
            )
        found[split] = name
    if "train" not in found:
        raise DataError(
            f"{key}: {root} has the splits {_named(splits)}, but no train",
            "add the folder train, or set data.layout: classes if these are classes",
        )
    return Reading(found, rest)
