"""Unpack archives of images (zip and tar) once. Every member is checked first."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import re
import shutil
import stat
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from secateur.data.addresses import is_url
from secateur.data.filesystem import MAX_FILE_BYTES, ZIPS, fingerprint, open_file
from secateur.data.image_opening import SUFFIXES
from secateur.data.left_out import LeftOut, suffix_reason
from secateur.data.walking import foreign_reason, is_foreign
from secateur.errors import DataError
from secateur.storage.atomic import read_json, require_space, sha256_of, write_json

# Suffixes of the files that are unpacked: images; Pascal VOC's annotations and lists.
WANTED = SUFFIXES | {".xml", ".txt"}
BLOCK_BYTES = 1 << 20
DRIVE = re.compile("[A-Za-z]:")
# Images are compressed already. An archive of bitmaps that compress well can be larger, below the free bytes.
MAX_RATIO, FREE_BYTES = 100, 256 << 20
MAX_MEMBERS = 5_000_000
# A header holds a name and a few attributes. `tarfile` reads one at once, and believes the length in it.
MAX_HEADER_BYTES = 1 << 20
DECOMPRESSORS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda stream: gzip.GzipFile(fileobj=stream),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
TOO_LARGE = "do not trust this file; if you do, unpack it yourself"
# Beside the folder of an archive: how many of its members were left out, for which reason.
LEFT_OUT = ".left_out.json"
UNPACKING, LEFTOVER_S = ".unpacking-", 86_400
# Ends the names of the folders. What an earlier version unpacked lacks the folders without images.
FORM = "-2"
# Exceptions of `zipfile` and `tarfile` for a damaged archive; an encrypted member raises RuntimeError.
ARCHIVE_ERRORS = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError,
    NotImplementedError, OverflowError, MemoryError,
)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: with `/` between folders, as in the archive.
        size_bytes: unpacked size, as the archive declares it.
        is_file: whether it is a plain file: no link, no device, and no file with holes.
        open: opens its content; None for a folder.
    """

    name: str
    size_bytes: int
    is_file: bool
    open: Callable[[], Any] | None


def unpacked(path: str, folder: Path | str) -> str:
    """Unpack an archive, unless it was unpacked before.

    Args:
        path: of the archive; can be a URL.
        folder: of all unpacked archives; each has a subfolder, named by the digest of its content.

    Returns:
        The folder that holds the class folders. If the archive has a single top folder without images, as
        `zip -r flowers.zip flowers` creates it, that folder is returned.

    Raises:
        DataError: the archive cannot be read or is far larger when unpacked; or a member has an absolute path, leads
            out of the folder, is a link, has holes, is larger than an image can be, or comes twice.
        ArtifactError: the disk is full.
    """
    try:
        digest = hashlib.sha256(fingerprint(path).encode()).hexdigest() if is_url(path) else sha256_of(path)
        target = Path(folder) / f"{digest[:32]}{FORM}"
        if not target.is_dir():
            _unpack(path, target)
    except ARCHIVE_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        # For a file that is not a tar archive `tarfile` lists all its attempts, one per line.
        raise DataError(
            f"{path}: cannot be unpacked: {reason.splitlines()[0].rstrip(':')}", "check the file, or unpack it yourself"
        ) from error
    return str(_inner(target))


def _unpack(path: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target.parent)
    with open_file(path) as stream:
        require_space(target.parent, _unpacked_bytes(path, stream), f"images of {path}")
    building = Path(tempfile.mkdtemp(dir=target.parent, prefix=UNPACKING))
    try:
        left_out = LeftOut()
        with open_file(path) as stream:
            for member in _checked(path, stream, left_out):
                _write(member, building / member.name)
        write_json(target.with_name(target.name + LEFT_OUT), left_out.as_json())
        try:
            building.rename(target)
        except OSError:
            # Another process unpacked the same archive first.
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _unpacked_bytes(path: str, stream: IO[bytes]) -> int:
    """The size of all members to unpack. Raises DataError if it is out of proportion."""
    most = _most_bytes(stream)
    total = 0
    for member in _checked(path, stream, LeftOut()):
        total += member.size_bytes
        if total > most:
            raise DataError(f"{path}: unpacks to more than {most:,} bytes", TOO_LARGE)
    return total


def _most_bytes(stream: IO[bytes]) -> int:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return max(FREE_BYTES, MAX_RATIO * size)


def _remove_leftovers(folder: Path) -> None:
    """Remove folders that a killed process left: those older than a day, since a newer one may be in use."""
    for path in folder.glob(f"{UNPACKING}*"):
        if time.time() - path.stat().st_mtime > LEFTOVER_S:
            shutil.rmtree(path, ignore_errors=True)


def _write(member: Member, path: Path) -> None:
    if member.open is None:
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as stream, path.open("xb") as target:
        left = member.size_bytes
        while left > 0 and (block := stream.read(min(left, BLOCK_BYTES))):
            target.write(block)
            left -= len(block)
        if left:
            raise ValueError(f"the member {member.name!a} is cut")


def _checked(path: str, stream: IO[bytes], left_out: LeftOut) -> Iterator[Member]:
    """The members to unpack; `left_out` receives the others. Raises DataError for a member that is not allowed."""
    seen: set[str] = set()
    for member in _zip_members(stream) if path.lower().endswith(ZIPS) else _tar_members(stream):
        parts = member.name.replace("\\", "/").split("/")
        foreign = next((part for part in parts if part not in (".", "..") and is_foreign(part)), None)
        if foreign is not None:
            if member.open is not None:
                left_out.add(foreign_reason(foreign), member.name)
            continue
        _refuse(path, member, parts)
        if len(seen) == MAX_MEMBERS:
            raise DataError(f"{path}: more than {MAX_MEMBERS:,} members", TOO_LARGE)
        name = "/".join(part for part in parts if part not in ("", "."))
        if name in seen and member.open is None:
            continue
        if name in seen:
            raise DataError(
                f"{path}: the member {member.name!a} comes twice", "create the archive again with each file once"
            )
        seen.add(name)
        if member.open is None:
            yield Member(name, 0, False, None)
        elif os.path.splitext(name)[1].lower() in WANTED:
            yield Member(name, member.size_bytes, True, member.open)
        else:
            left_out.add(suffix_reason(name), name)
            # Its folder is a class without images.
            if "/" in name:
                yield Member(name.rpartition("/")[0], 0, False, None)


def _refuse(path: str, member: Member, parts: list[str]) -> None:
    """Raise DataError for a member that leads out of its folder, is no plain file, or is too large."""
    if ".." in parts or not parts[0] or "\0" in member.name or DRIVE.fullmatch(parts[0]):
        raise DataError(f"{path}: the member {member.name!a} leads out of its folder", "do not trust this file")
    if not (member.is_file or member.open is None):
        raise DataError(
            f"{path}: the member {member.name!a} is a link or a device, or has holes",
            "create the archive again with plain files only",
        )
    if member.size_bytes > MAX_FILE_BYTES:
        raise DataError(f"{path}: the member {member.name!a} has {member.size_bytes:,} bytes", TOO_LARGE)


def _zip_members(stream: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            if info.filename.endswith("/"):
                yield Member(info.filename, 0, False, None)
            else:
                plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
                yield Member(info.filename, info.file_size, plain, partial(archive.open, info))


def _tar_members(stream: IO[bytes]) -> Iterator[Member]:
    most = _most_bytes(stream)
    bounded: Any = _Bounded(_decompressed(stream), most)
    with tarfile.open(fileobj=bounded, mode="r:") as archive:
        for info in archive:
            if info.isdir():
                yield Member(info.name, 0, False, None)
            else:
                plain = info.isreg() and not info.issparse()
                yield Member(info.name, info.size, plain, partial(archive.extractfile, info))
        _require_end(bounded, archive.offset)


def _require_end(stream: Any, offset: int) -> None:
    """Require zeros from the first header that is none to the end of the archive.

    `tarfile` takes a damaged header, a second archive or the end of a cut file for the end of the archive.
    """
    stream.seek(offset)
    block = stream.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise ValueError("it is cut: its end is missing")
    while block:
        if block.strip(b"\0"):
            raise ValueError("it is damaged, or several archives in one: members after its end")
        block = stream.read(BLOCK_BYTES)


def _decompressed(stream: IO[bytes]) -> Any:
    start = stream.read(max(map(len, DECOMPRESSORS)))
    stream.seek(0)
    return next((opener(stream) for magic, opener in DECOMPRESSORS.items() if start.startswith(magic)), stream)


class _Bounded:
    """A tar stream that refuses to read a long header at once, or far more bytes than the archive has.

    Args:
        stream: decompressed.
        most: bytes from its start that can be read.
    """

    def __init__(self, stream: Any, most: int) -> None:
        self.stream, self.most = stream, most
        self.seek, self.tell, self.close = stream.seek, stream.tell, stream.close

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise ValueError(f"a header of {size:,} bytes")
        if self.stream.tell() > self.most:
            raise ValueError(f"it unpacks to more than {self.most:,} bytes")
        return bytes(self.stream.read(size))


def members_left_out(folder: str) -> LeftOut:
    """What was left out of the archive that was unpacked into a folder."""
    # The folder of the archive, or its only folder.
    places = [path.with_name(path.name + LEFT_OUT) for path in (Path(folder), Path(folder).parent)]
    place = next((path for path in places if path.is_file()), None)
    left_out = LeftOut.from_json(read_json(place, "remove the folder")) if place else LeftOut()
    if place == places[1]:
        for path in sorted(Path(folder).parent.iterdir()):
            if path.is_file():
                left_out.add(suffix_reason(path.name), path.name)
    return left_out


def _inner(folder: Path) -> Path:
    """The only folder at the top, if it holds folders; texts beside it do not count."""
    entries = [entry for entry in folder.iterdir() if not is_foreign(entry.name)]
    folders = [entry for entry in entries if entry.is_dir()]
    images = any(entry.suffix.lower() in SUFFIXES for entry in entries if entry not in folders)
    if len(folders) != 1 or images:
        return folder
    return folders[0] if any(entry.is_dir() for entry in folders[0].iterdir()) else folder
