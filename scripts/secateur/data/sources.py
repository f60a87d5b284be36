"""List labelled images: class folders, train/val/test folders, a table, Pascal VOC, an archive of these.

Only paths and classes are read; no image is opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

import secateur.storage.csv  # noqa: F401 - sets how pandas stores text, since names of files need not be UTF-8
from secateur.data.addresses import Reach, is_url, named_by_data, without_credentials
from secateur.data.classes import class_name_of
from secateur.data.filesystem import (
    TABLES,
    Folder,
    files_below,
    folder_at,
    is_archive,
    is_there,
    join,
    parent,
    read_bytes,
)
from secateur.data.images import images_of, is_image
from secateur.data.layout import SPLIT_WORDS, SPLITS, Layout, reading, refuse_splits_in_classes
from secateur.data.left_out import BESIDE_CLASSES, NO_LABEL, NOT_ANNOTATED, LeftOut, suffix_reason
from secateur.data.parquet import read_parquet
from secateur.data.tables import COLUMNS, table_of
from secateur.data.unpacking import members_left_out, unpacked
from secateur.data.voc import is_voc, read_voc
from secateur.errors import DataError, names_of

MAX_LISTED, MAX_NAME, MAX_SHOWN = 10, 40, 100


@dataclass
class Listing:
    """The images that one place holds.

    Attributes:
        root: the folder or file, as in the spec.
        classes: all classes, also those without images; the names are in Unicode NFC.
        table: one row per image: `path`, `class`, `split` (empty if the place does not define it) and `group` (images
            of one group stay in one split; empty for an image without a group).
        class_folders: whether folders define the classes.
        left_out: the files that are no images here, by reason.
        lost: class -> what was left out of its folder.
        notes: what the user must know about the way the place was read.
        several_classes: images that show several classes: path, classes, and the one that counts; empty if the image
            was left out.
    """

    root: str
    classes: set[str]
    table: pd.DataFrame
    class_folders: bool = False
    left_out: LeftOut = field(default_factory=LeftOut)
    lost: dict[str, LeftOut] = field(default_factory=dict)
    several_classes: list[tuple[str, list[str], str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def listed(
    root: str,
    key: str,
    multi_label: str,
    unpack_to: Path | str,
    reach: Reach = "inside",
    layout: Layout = "auto",
    follow_links: bool = True,
) -> dict[str, Listing]:
    """All images that one place holds.

    Args:
        root: a folder of class folders; of `train`, `val` and `test` folders of class folders; a Pascal VOC folder; a
            zip or tar of one of these; or a `.csv` or `.parquet` table. A path, or a URL that fsspec opens.
        key: the spec key that names it, for errors.
        multi_label: `first`, `largest` or `drop`: which class a VOC image with several classes gets.
        unpack_to: folder for the content of archives.
        reach: what a table can name: files below its folder and addresses of its host, or `anywhere`.
        layout: whether folders are classes or splits; `auto`: by their names and content.
        follow_links: whether links to folders are followed.

    Returns:
        One listing, under the name `source`; or one per split, if the root has train, val and test folders.

    Raises:
        DataError: the root is missing or is none of these, or can be read in two ways.
    """
    is_folder = not is_url(root) and os.path.isdir(root)
    if root.lower().endswith(TABLES) and not is_folder:
        return {"source": from_table(root, key, reach)}
    packed = is_archive(root) and not is_folder
    folder = _unpacked(root, key, unpack_to) if packed else root
    if is_voc(folder):
        found = {"source": from_voc(folder, key, multi_label, follow_links)}
    else:
        found = _from_folders(folder, key, layout, follow_links)
    if packed:
        next(iter(found.values())).left_out.merge(members_left_out(folder))
    return found


def _from_folders(root: str, key: str, layout: Layout, follow_links: bool) -> dict[str, Listing]:
    """The class folders of a root, or of each of its splits."""
    top = _folder(root, key, follow_links)

    def folders_in(name: str) -> list[str]:
        below = top.below.get(name)
        if below is not None:
            depth = root.rstrip("/").count("/") + 2  # slashes of an image directly in the folder
            return sorted({path.split("/")[depth] for path in below if path.count("/") > depth})
        return _at(join(root, name), key, follow_links).folders

    def holds_folders(name: str) -> bool:
        return bool(folders_in(name))

    read = reading(root, key, top.folders, holds_folders, layout)
    if not read.splits:
        if layout == "auto":
            refuse_splits_in_classes(root, key, map(folders_in, top.folders))
        return {"source": from_class_folders(root, key, follow_links=follow_links)}
    found = {
        split: from_class_folders(join(root, name), key, split, follow_links) for split, name in read.splits.items()
    }
    beside = next(iter(found.values())).left_out
    beside.merge(top.left_out)
    _count_beside(top.files, beside, NO_LABEL)
    for name in read.without_labels:
        _count_beside(files_below(join(root, name), beside, follow_links), beside, NO_LABEL)
    return found


def _count_beside(paths: Iterable[str], left_out: LeftOut, reason: str) -> None:
    """Count files that belong to no class: images for this reason, the others for their suffix."""
    for path in paths:
        left_out.add(reason if is_image(path) else suffix_reason(path), path)


def from_class_folders(root: str, key: str, split: str = "", follow_links: bool = True) -> Listing:
    """List `root/<class>/`, subfolders included.

    Raises:
        DataError: `root` is missing, cannot be read, or holds no class folders.
    """
    top = _folder(root, key, follow_links)
    paths: list[str] = []
    labels: list[str] = []
    names = _class_names(root, top.folders)
    lost: dict[str, LeftOut] = {name: LeftOut() for name in names.values()}
    for folder, name in names.items():
        inside = top.below.get(folder) or files_below(join(root, folder), lost[name], follow_links)
        found = images_of(inside, lost[name])
        paths += found
        labels += [name] * len(found)
    _count_beside(top.files, top.left_out, BESIDE_CLASSES)
    for left_out in lost.values():
        top.left_out.merge(left_out)
    return Listing(root, set(names.values()), _table(paths, labels, split), True, top.left_out, lost)


def _folder(root: str, key: str, follow_links: bool) -> Folder:
    found = _at(root, key, follow_links)
    if not found.folders:
        there = f"; it has {len(found.files):,} files" if found.files else ""
        raise DataError(
            f"{key}: {root} has no class folders{there}", "put the images of each class into a separate folder"
        )
    return found


def _at(folder: str, key: str, follow_links: bool) -> Folder:
    try:
        return folder_at(folder, follow_links)
    except OSError as error:
        reason = error.strerror or "no such folder"
        raise DataError(f"{key}: cannot read the folder {folder}: {reason}", f"check the path in {key}") from error


def _unpacked(root: str, key: str, unpack_to: Path | str) -> str:
    if not is_url(root) and not os.path.isfile(root):
        raise DataError(f"{key}: no such file: {root}", f"check the path in {key}")
    return unpacked(root, unpack_to)


def _table(paths: list[str], labels: list[str], split: str = "") -> pd.DataFrame:
    return pd.DataFrame({"path": paths, "class": labels, "split": split, "group": ""}, dtype=str)


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


def from_table(root: str, key: str, reach: Reach = "inside") -> Listing:
    """List a table with the columns `path` and `class`, and optionally `split` and `group`.

    Relative paths start at the table's folder. `reach` is as in `listed`.

    Raises:
        DataError: the table cannot be read, lacks a column, has a row without path or class or with an unknown split,
            names an image twice, or names a file that is out of reach.
    """
    table, notes = _read_table(root, key)
    missing = [name for name in ("path", "class") if name not in table.columns]
    if missing:
        raise DataError(
            f"{key}: {root} has no column {' and no column '.join(missing)}; it has {_short(table)}",
            "name the columns path and class; split and group are optional",
        )
    for name in COLUMNS:
        if (table.columns == name).sum() > 1:
            raise DataError(f"{key}: {root} has several columns {name}", "rename or remove all but one")
    if table.empty:
        raise DataError(f"{key}: {root} has no rows", "write one row for each image")
    unused = [ascii(name)[:MAX_NAME] for name in table.columns if name not in COLUMNS]
    if unused:
        notes.append(f"its columns {names_of(unused, MAX_LISTED)} are not used")
    for name in ("split", "group"):
        if name not in table.columns:
            table[name] = ""
    table = table[list(COLUMNS)]
    table["split"] = table["split"].str.strip().str.lower().replace(SPLIT_WORDS)
    _refuse_rows(root, table["path"].eq("") | table["class"].eq(""), "have no path or no class", table)
    given = table["split"].ne("")
    _refuse_rows(root, given & ~table["split"].isin(SPLITS), "have a split other than train, val and test", table)
    if given.any():
        _refuse_rows(root, ~given, "have no split, but other rows have one", table)
    table["path"] = _placed(root, table["path"].tolist(), reach)
    again = table["path"].map(os.path.normpath).duplicated()
    _refuse_rows(root, again, "name an image that an earlier row also names", table)
    names = {label: class_name_of(label, f"{root}: the class") for label in table["class"].unique()}
    if len(set(names.values())) < len(names):
        notes.append("names of classes in two Unicode forms were read as one")
    table["class"] = table["class"].map(names)
    return Listing(root, set(names.values()), table, notes=[f"{root}: {words}" for words in notes])


def _placed(root: str, names: list[str], reach: Reach) -> list[str]:
    """The paths or URLs of the images. Raises DataError if some are out of reach."""
    folder, places, refused = parent(root), [], []
    for line, name in enumerate(names, 2):
        try:
            places.append(named_by_data(folder, name, reach))
        except DataError as error:
            refused.append(f"line {line}: {ascii(without_credentials(name))[1:-1][:MAX_SHOWN]}: {error.message}")
    if refused:
        more = f"\n  and {len(refused) - MAX_LISTED} more" if len(refused) > MAX_LISTED else ""
        raise DataError(
            f"{root}: {len(refused)} rows name files that a table may not name:\n  "
            + "\n  ".join(refused[:MAX_LISTED])
            + more,
            "put the table above its images; or, if you trust it, set data.table_paths: anywhere "
            "(for `secateur new` --table-paths anywhere)",
        )
    return places


def _short(table: pd.DataFrame) -> str:
    return ", ".join(ascii(name)[:MAX_NAME] for name in table.columns[:MAX_LISTED])


def _read_table(root: str, key: str) -> tuple[pd.DataFrame, list[str]]:
    """The table, and what is unusual about the file."""
    try:
        content = read_bytes(root)
        if root.lower().endswith(".parquet"):
            return pd.DataFrame(read_parquet(content), dtype=str), []
        table = table_of(content, partial(is_there, root))
        return pd.DataFrame(table.rows, columns=table.columns, dtype=str), table.notes
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


def from_voc(root: str, key: str, multi_label: str, follow_links: bool = True) -> Listing:
    """List a Pascal VOC folder: images with the classes of their objects. An image with several classes counts once.

    Args:
        root: holds `JPEGImages`, and `Annotations` or `ImageSets/Main`.
        key: the spec key that names it.
        multi_label: `first` takes the class of the first object, `largest` the class of the largest box, `drop`
            leaves out the image.
        follow_links: whether links to folders are followed.

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
    left_out = LeftOut()
    known = {*paths, *(path for path, _, _ in several)}
    found = files_below(join(root, "JPEGImages"), left_out, follow_links)
    _count_beside((path for path in found if path not in known), left_out, NOT_ANNOTATED)
    return Listing(root, classes, _table(paths, labels), left_out=left_out, several_classes=several)
