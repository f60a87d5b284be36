"""The manifest: every image with its class, split and digest. Made by split, read by all later steps."""

from __future__ import annotations

import hashlib
import io
import os
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from secateur.data.images import SIXTEEN_BIT_MODES, SUFFIXES, UnreadableImageError, decoded
from secateur.data.listing import files_below, is_hidden
from secateur.errors import DataError
from secateur.tables import read_csv

COLUMNS = ["path", "class", "split", "width", "height", "mode", "depth", "bytes", "sha256"]


@dataclass(frozen=True)
class Entry:
    """One image file.

    Attributes:
        path: as later steps open it.
        class_name: its class folder.
        width, height: pixels.
        mode: Pillow's mode.
        depth: bits a channel.
        size_bytes: of the file.
        sha256: of the file's bytes.
        several_frames: an animation or a file of several pages; its first is used.
    """

    path: str
    class_name: str
    width: int
    height: int
    mode: str
    depth: int
    size_bytes: int
    sha256: str
    several_frames: bool = False


@dataclass(frozen=True)
class Unreadable:
    """A file that has an image's suffix and cannot be decoded."""

    path: str
    reason: str


@dataclass
class Scan:
    """What one root of class folders holds.

    Attributes:
        root: the folder.
        classes: names of its class folders, empty ones included.
        entries: readable images, by path.
        unreadable: the others.
        ignored: number of files that have no image's suffix.
    """

    root: str
    classes: set[str]
    entries: list[Entry]
    unreadable: list[Unreadable]
    ignored: int


def scan(root: str, key: str) -> Scan:
    """Read and decode every image under `root/<class>/`, subfolders included.

    Args:
        root: a folder of class folders.
        key: the spec key that names it, for errors.

    Raises:
        DataError: `root` is missing, cannot be read, or holds no class folders.
    """
    try:
        folders = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not is_hidden(entry.name))
    except OSError as error:
        raise DataError(f"{key}: cannot read the folder {root}: {error.strerror}", f"mend {key} in the spec") from error
    if not folders:
        raise DataError(f"{key}: {root} has no class folders", "put the images of each class into a folder of its own")
    images, ignored = [], 0
    names = _class_names(root, folders)
    for folder, name in names.items():
        for path in files_below(os.path.join(root, folder)):
            if Path(path).suffix.lower() in SUFFIXES:
                images.append((path, name))
            else:
                ignored += 1
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = list(pool.map(lambda item: examine(*item), images))
    return Scan(
        root=root,
        classes=set(names.values()),
        entries=[result for result in results if isinstance(result, Entry)],
        unreadable=[result for result in results if isinstance(result, Unreadable)],
        ignored=ignored,
    )


def _class_names(root: str, folders: list[str]) -> dict[str, str]:
    """Folder -> class. Letters that can be written in several ways are composed, since other systems write them so.

    Raises:
        DataError: a name that could not stand on a line of labels.txt, or two that are one when composed.
    """
    names: dict[str, str] = {}
    for folder in folders:
        name = unicodedata.normalize("NFC", folder)
        if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
            raise DataError(
                f"{root}: the class folder {folder!a} has a line break or bytes that are no letters in its name",
                "rename the folder",
            )
        if name in names.values():
            raise DataError(f"{root}: two class folders are called '{name}', in different encodings", "join them")
        names[folder] = name
    return names


def examine(path: str, class_name: str) -> Entry | Unreadable:
    """Decode one file to its last pixel and describe it."""
    try:
        content = Path(path).read_bytes()
        if not content:
            raise UnreadableImageError("the file is empty")
        with decoded(io.BytesIO(content)) as image:
            sixteen = image.mode in SIXTEEN_BIT_MODES
            digest = hashlib.sha256(content).hexdigest()
            depth = 16 if sixteen else 8
            several = bool(getattr(image, "is_animated", False))
            return Entry(path, class_name, image.width, image.height, image.mode, depth, len(content), digest, several)
    except UnreadableImageError as error:
        return Unreadable(path, error.message)
    except OSError as error:
        return Unreadable(path, error.strerror or str(error))


def table_of(entries: list[tuple[Entry, str]]) -> pd.DataFrame:
    """The manifest of (entry, split) pairs, sorted by path."""
    names = {"class_name": "class", "size_bytes": "bytes"}
    rows = [{**asdict(entry), "split": split} for entry, split in entries]
    table = pd.DataFrame(rows).rename(columns=names)
    return table[COLUMNS].sort_values("path", ignore_index=True)


def read_manifest(path: Path | str) -> pd.DataFrame:
    """Read a manifest; class names stay strings.

    Raises:
        DataError: a column is missing.
    """
    table = read_csv(path, dtype={"path": str, "class": str, "split": str})
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}", "run split again")
    return table
