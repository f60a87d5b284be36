"""List labelled images: class folders, train/val/test folders, a table, Pascal VOC, an archive of these.

Only paths and classes are read; no image is opened.
"""

from __future__ import annotations

import io
import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from secateur.data.filesystem import TABLES, is_archive, is_url, join, parent, read_bytes, tree
from secateur.data.images import is_image
from secateur.data.unpacking import unpacked
from secateur.data.voc import is_voc, read_voc
from secateur.errors import DataError

SPLITS = ("train", "val", "test")
# Names that other programs give to the splits.
SPLIT_WORDS = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
MAX_LISTED, MAX_NAME = 10, 40


@dataclass
class Listing:
    """The images that one place holds.

    Attributes:
        root: the folder or file, as in the spec.
        classes: all classes, also those without images; the names are in Unicode NFC.
        table: one row per image: `path`, `class`, `split` (empty if the place does not define it) and `group` (images
            of one group stay in one split; empty for an image without a group).
        class_folders: whether folders define the classes.
        ignored: number of files without the suffix of an image.
        several_classes: images that show several classes: path, classes, and the one that counts; empty if the image
            was left out.
    """

    root: str
    classes: set[str]
    table: pd.DataFrame
    class_folders: bool = False
    ignored: int = 0
    several_classes: list[tuple[str, list[str], str]] = field(default_factory=list)


def listed(root: str, key: str, multi_label: str, unpack_to: Path | str) -> dict[str, Listing]:
    """All images that one place holds.

    Args:
        root: a folder of class folders; of `train`, `val` and `test` folders of class folders; a Pascal VOC folder; a
            zip or tar of one of these; or a `.csv` or `.parquet` table. A path, or a URL that fsspec opens.
        key: the spec key that names it, for errors.
        multi_label: `first`, `largest` or `drop`: which class a VOC image with several classes gets.
        unpack_to: folder for the content of archives.

    Returns:
        One listing, under the name `source`; or one per split, if the root has train, val and test folders.

    Raises:
        DataError: the root is missing or is none of these.
    """
    is_folder = not is_url(root) and os.path.isdir(root)
    if root.lower().endswith(TABLES) and not is_folder:
        return {"source": from_table(root, key)}
    folder = _unpacked(root, key, unpack_to) if is_archive(root) and not is_folder else root
    if is_voc(folder):
        return {"source": from_voc(folder, key, multi_label)}
    folders = _folders(folder, key)
    splits = {name: SPLIT_WORDS.get(name.lower(), name.lower()) for name in folders}
    if "train" in splits.values() and len(folders) > 1 and set(splits.values()) <= set(SPLITS):
        return {splits[name]: from_class_folders(join(folder, name), key, splits[name]) for name in folders}
    return {"source": from_class_folders(folder, key)}


def from_class_folders(root: str, key: str, split: str = "") -> Listing:
    """List `root/<class>/`, subfolders included.

    Raises:
        DataError: `root` is missing, cannot be read, or holds no class folders.
    """
    folders = _folders(root, key)
    paths: list[str] = []
    labels: list[str] = []
    ignored = 0
    names = _class_names(root, folders)
    for folder, name in names.items():
        before = len(paths)
        for path in folders[folder]:
            if is_image(path):
                paths.append(path)
            else:
                ignored += 1
        labels += [name] * (len(paths) - before)
    return Listing(root, set(names.values()), _table(paths, labels, split), True, ignored)


def _folders(root: str, key: str) -> dict[str, Iterable[str]]:
    try:
        folders = tree(root)
    except OSError as error:
        reason = error.strerror or "no such folder"
        raise DataError(f"{key}: cannot read the folder {root}: {reason}", f"check the path in {key}") from error
    if not folders:
        raise DataError(f"{key}: {root} has no class folders", "put the images of each class into a separate folder")
    return dict(folders)


def _unpacked(root: str, key: str, unpack_to: Path | str) -> str:
    if not is_url(root) and not os.path.isfile(root):
        raise DataError(f"{key}: no such file: {root}", f"check the path in {key}")
    return unpacked(root, unpack_to)


def _table(paths: list[str], labels: list[str], split: str = "") -> pd.DataFrame:
    return pd.DataFrame({"path": paths, "class": labels, "split": split, "group": ""}, dtype=str)


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


def _class_names(root: str, folders: Iterable[str]) -> dict[str, str]:
    """Folder -> class. Raises DataError if two folders have the same class name in Unicode NFC."""
    names: dict[str, str] = {}
    for folder in folders:
        name = class_name_of(folder, f"{root}: the class folder")
        if name in names.values():
            raise DataError(
                f"{root}: two class folders are called '{name}', in different encodings",
                "move their images into one folder",
            )
        names[folder] = name
    return names


def from_table(root: str, key: str) -> Listing:
    """List a table with the columns `path` and `class`, and optionally `split` and `group`.

    Relative paths start at the table's folder.

    Raises:
        DataError: the table cannot be read, lacks a column, has a row without path or class or with an unknown split,
            or names an image twice.
    """
    table = _read_table(root, key)
    missing = [name for name in ("path", "class") if name not in table.columns]
    if missing:
        raise DataError(
            f"{key}: {root} has no column {' and no column '.join(missing)}; it has {_short(table)}",
            "name the columns path and class; split and group are optional",
        )
    for name in ("split", "group"):
        if name not in table.columns:
            table[name] = ""
    table = table[["path", "class", "split", "group"]]
    table["split"] = table["split"].str.strip().str.lower().replace(SPLIT_WORDS)
    _refuse_rows(root, table["path"].eq("") | table["class"].eq(""), "have no path or no class", table)
    given = table["split"].ne("")
    _refuse_rows(root, given & ~table["split"].isin(SPLITS), "have a split other than train, val and test", table)
    if given.any():
        _refuse_rows(root, ~given, "have no split, but other rows have one", table)
    folder = parent(root)
    table["path"] = [join(folder, path) if folder else path for path in table["path"]]
    _refuse_rows(root, table["path"].duplicated(), "name an image that an earlier row also names", table)
    names = {written: class_name_of(written, f"{root}: the class") for written in table["class"].unique()}
    table["class"] = table["class"].map(names)
    return Listing(root, set(names.values()), table)


def _short(table: pd.DataFrame) -> str:
    return ", ".join(ascii(name)[:MAX_NAME] for name in table.columns[:MAX_LISTED])


def _read_table(root: str, key: str) -> pd.DataFrame:
    try:
        content = io.BytesIO(read_bytes(root))
        if root.lower().endswith(".parquet"):
            return pd.read_parquet(content).reset_index(drop=True).fillna("").astype(str)
        table = pd.read_csv(
            content, dtype=str, keep_default_na=False, encoding="utf-8-sig", encoding_errors="surrogateescape"
        )
        if not isinstance(table.index, pd.RangeIndex):
            raise ValueError("some rows have more values than the first line has column names")
        return table
    except ImportError as error:
        raise DataError(f"{key}: {root} needs the package pyarrow", "pip install pyarrow, or write a CSV") from error
    except DataError:
        raise
    except Exception as error:  # pandas and pyarrow raise exceptions of many classes for bytes that are not a table
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(f"{key}: cannot read {root}: {reason}", f"check the path in {key}") from error


def _refuse_rows(root: str, wrong: pd.Series, what: str, table: pd.DataFrame) -> None:
    if not wrong.any():
        return
    # The header is line 1.
    lines = [f"line {index + 2}: {table['path'][index]}" for index in wrong[wrong].index[:MAX_LISTED]]
    more = f"\n  and {wrong.sum() - MAX_LISTED} more" if wrong.sum() > MAX_LISTED else ""
    raise DataError(
        f"{root}: {wrong.sum()} rows {what}:\n  " + "\n  ".join(lines) + more, "correct these rows of the table"
    )


def from_voc(root: str, key: str, multi_label: str) -> Listing:
    """List a Pascal VOC folder: images with the classes of their objects. An image with several classes counts once.

    Args:
        root: holds `JPEGImages`, and `Annotations` or `ImageSets/Main`.
        key: the spec key that names it.
        multi_label: `first` takes the class of the first object, `largest` the class of the largest box, `drop`
            leaves out the image.

    Raises:
        DataError: an annotation cannot be read, no image has a class, or `largest` is set but there are no annotations.
    """
    paths, labels, several = [], [], []
    classes: set[str] = set()
    for image in read_voc(root, key, multi_label):
        path = join(root, "JPEGImages", image.file_name)
        names = list(dict.fromkeys(class_name_of(name, f"{path}: the class") for name, _ in image.objects))
        classes |= set(names)
        chosen = class_name_of(image.chosen(multi_label), path) if names else ""
        if len(names) > 1 and multi_label == "drop":
            chosen = ""
        if len(names) > 1:
            several.append((path, names, chosen))
        if chosen:
            paths.append(path)
            labels.append(chosen)
    if not paths:
        raise DataError(f"{key}: {root} has no image with a class", f"check the path in {key}")
    return Listing(root, classes, _table(paths, labels), several_classes=several)
