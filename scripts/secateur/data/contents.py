"""Digests of images: of the file names below a place and the content of each file, but not of the place itself.

Each file is read once. An index keeps the digest of a file under its inode, size and times. Later only one `stat` per
file is needed, even if the folder was renamed. No image is decoded.

See docs/decisions/out-of-date.md.
"""

from __future__ import annotations

import csv
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from secateur.data.addresses import Reach, is_url, named_by_data
from secateur.data.filesystem import (
    TABLES,
    files_below,
    fingerprint,
    is_archive,
    is_there,
    parent,
    read_bytes,
    remote_markers,
)
from secateur.data.parquet import read_parquet
from secateur.data.tables import table_of
from secateur.errors import DataError, SecateurError
from secateur.storage.atomic import atomic_file, sha256_of
from secateur.storage.locks import locked
from secateur.storage.regular_files import open_regular

INDEX = "images.index"
MISSING = "missing"
# URLs that are requested at the same time, and files that are read at the same time.
REQUESTS_AT_ONCE, FILES_AT_ONCE = 32, 8
FILES_BETWEEN_LINES = 10_000


class ContentIndex:
    """Keeps the digests of files, one line `key digest` per file.

    Args:
        path: of the index file; it need not exist. If it cannot be written, the index is kept in memory only.
        say: receives progress messages if there are many files.
    """

    def __init__(self, path: Path, say: Callable[[str], None] = lambda words: None) -> None:
        self.path, self.say = path, say
        self.known = dict(_entries(path))

    def digests(self, paths: Sequence[str]) -> list[str]:
        """The SHA-256 of each file; `missing` for a file that cannot be read."""
        keys = [_key_of(path) for path in paths]
        new = {key: path for key, path in zip(keys, paths, strict=True) if key and key not in self.known}
        if new:
            self._read(new)
        return [self.known.get(key, MISSING) if key else MISSING for key in keys]

    def _read(self, new: dict[str, str]) -> None:
        with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
            for done, (key, digest) in enumerate(zip(new, pool.map(_sha256_or_missing, new.values()), strict=True), 1):
                if digest != MISSING:
                    self.known[key] = digest
                if done % FILES_BETWEEN_LINES == 0:
                    self.say(f"{done} of {len(new)} new image files read")
        self._write()

    def _write(self) -> None:
        """Write the index. Entries that another process has written since are kept."""
        with suppress(SecateurError, OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with locked(self.path.with_name(f".{self.path.name}.lock"), str(self.path), wait=True):
                self.known = {**dict(_entries(self.path)), **self.known}
                with atomic_file(self.path) as stream:
                    stream.write("".join(f"{key} {digest}\n" for key, digest in self.known.items()).encode())


def _entries(path: Path) -> Iterator[tuple[str, str]]:
    with suppress(OSError), open_regular(path) as stream:
        for line in stream:
            key, _, digest = line.rstrip(b"\n").decode("ascii", "replace").partition(" ")
            if len(digest) == 64:
                yield key, digest


def _key_of(path: str) -> str:
    """Facts that differ if the file has changed. A user cannot set the time of the last inode change."""
    try:
        about = os.stat(path)
    except (OSError, ValueError):
        return ""
    if not stat.S_ISREG(about.st_mode):
        return ""  # a pipe or a device: reading it would not end
    return f"{about.st_ino:x}.{about.st_size:x}.{about.st_mtime_ns:x}.{about.st_ctime_ns:x}"


def _sha256_or_missing(path: str) -> str:
    try:
        return sha256_of(path)
    except (OSError, SecateurError):
        return MISSING


def contents_digest(places: Iterable[str], index: ContentIndex, reach: Reach = "inside") -> str:
    """Digest of all images at some places: folders, tables, archives, single files; paths or URLs.

    The same files in another folder have the same digest; so has a table of the same files at other paths. A missing
    place has a digest too; the step that reads it reports the error. `reach` is what a table can name, as in `sources`.

    Raises:
        DataError: a URL cannot be read.
    """
    digest = hashlib.sha256()
    for place in places:
        for name, content in _contents(place, index, reach):
            digest.update(f"{name}\0{content}\0".encode("utf-8", "surrogateescape"))
        digest.update(b"\1")
    return digest.hexdigest()[:16]


def _contents(place: str, index: ContentIndex, reach: Reach) -> Iterator[tuple[str, str]]:
    """The name and the digest of each file at a place."""
    is_folder = not is_url(place) and os.path.isdir(place)
    if place.lower().endswith(TABLES) and not is_folder:
        yield from _table_contents(place, index, reach)
    elif is_url(place):
        yield from [("", fingerprint(place))] if is_archive(place) else _remote_contents(place)
    elif is_folder:
        # The split step reports a folder that cannot be read.
        paths = list(files_below(place, strict=False))
        start = len(place.rstrip("/")) + 1
        yield from zip((path[start:] for path in paths), index.digests(paths), strict=True)
    else:
        yield "", index.digests([place])[0]


def _remote_contents(place: str) -> Iterator[tuple[str, str]]:
    # The split step reports a missing place.
    with suppress(FileNotFoundError):
        start = len(place.rstrip("/")) + 1
        yield from ((url[start:], marker) for url, marker in remote_markers(place))


def _table_contents(place: str, index: ContentIndex, reach: Reach) -> Iterator[tuple[str, str]]:
    """For each row of a table its values except the path, and the digest of its image."""
    try:
        table = read_bytes(place)
    except (OSError, SecateurError):
        yield "", MISSING
        return
    rows = _rows(place, table)
    if rows is None:
        yield "", hashlib.sha256(table).hexdigest()
        return
    folder = parent(place)
    paths = [_within_reach(folder, row.pop("path"), reach) for row in rows]
    said = ["\0".join(f"{name}={value}" for name, value in row.items()) for row in rows]
    for words, path, content in zip(said, paths, _digests_of_images(paths, index), strict=True):
        yield words, f"{MISSING} {path}" if content == MISSING else content


def _within_reach(folder: str, name: str, reach: Reach) -> str:
    """The place of an image; empty if the table may not name it, which the split step reports."""
    try:
        return named_by_data(folder, name, reach)
    except DataError:
        return ""


def _digests_of_images(paths: list[str], index: ContentIndex) -> list[str]:
    local = iter(index.digests([path for path in paths if not is_url(path)]))
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        remote = iter(list(pool.map(_fingerprint_or_missing, [path for path in paths if is_url(path)])))
    return [next(remote) if is_url(path) else next(local) for path in paths]


def _fingerprint_or_missing(url: str) -> str:
    try:
        return fingerprint(url)
    except FileNotFoundError:
        return MISSING


def _rows(place: str, content: bytes) -> list[dict[str, str]] | None:
    """The rows of a table, each with its `path`; None if it cannot be read as one, which the split step reports."""
    if place.lower().endswith(".parquet"):
        return _parquet_rows(content)
    try:
        table = table_of(content, partial(is_there, place))
    except (csv.Error, ValueError, TypeError):  # TypeError: a separator that cannot be one
        return None
    if "path" not in table.columns:
        return None
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows] or None


def _parquet_rows(content: bytes) -> list[dict[str, str]] | None:
    try:
        table = read_parquet(content)
    except Exception:  # pyarrow is not installed, or raises exceptions of many classes for bytes that are not a table
        return None
    rows = zip(*table.values(), strict=True)
    return [dict(zip(table, row, strict=True)) for row in rows] or None
