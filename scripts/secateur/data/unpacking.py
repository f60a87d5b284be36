"""Archives of images, zip and tar: every member checked, then unpacked once into a folder of ours."""

from __future__ import annotations

import hashlib
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

from secateur.data.filesystem import ZIPS, fingerprint, is_hidden, is_url, open_file
from secateur.data.images import SUFFIXES
from secateur.errors import DataError
from secateur.storage.atomic import require_space, sha256_of

# What a source may hold: images; Pascal VOC's annotations and lists.
WANTED = SUFFIXES | {".xml", ".txt"}
BLOCK_BYTES = 1 << 20
DRIVE = re.compile("[A-Za-z]:")
UNPACKING, LEFTOVER_S = ".unpacking-", 86_400
# What `zipfile` and `tarfile` raise for bytes that are no sound archive; an encrypted member is a RuntimeError.
ARCHIVE_ERRORS = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RuntimeError, NotImplementedError,
)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: with `/` between folders, as the archive has it.
        size_bytes: unpacked, as the archive declares.
        is_file: neither a link nor a device. Folders are no members.
        open: its content.
    """

    name: str
    size_bytes: int
    is_file: bool
    open: Callable[[], Any]


def unpacked(path: str, folder: Path | str) -> str:
    """Unpack an archive, unless it is already.

    Args:
        path: of the archive; may be a URL.
        folder: of all unpacked archives; each has a folder in it, named by its content.

    Returns:
        The folder that holds the class folders. Where the archive has one folder at its top that holds no images, as
        `zip -r flowers.zip flowers` makes it, that folder.

    Raises:
        DataError: it cannot be read, or has a member that is absolute, climbs out, is a link or comes twice.
        ArtifactError: it does not fit the disk.
    """
    try:
        digest = hashlib.sha256(fingerprint(path).encode()).hexdigest() if is_url(path) else sha256_of(path)
        target = Path(folder) / digest[:32]
        if not target.is_dir():
            _unpack(path, target)
    except ARCHIVE_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        # Of a file that is no tar `tarfile` tells, line by line, how it tried.
        raise DataError(
            f"{path}: cannot be unpacked: {reason.splitlines()[0].rstrip(':')}", "check the file, or unpack it yourself"
        ) from error
    return str(_inner(target))


def _unpack(path: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target.parent)
    with open_file(path) as stream:
        require_space(target.parent, sum(member.size_bytes for member in _checked(path, stream)), f"images of {path}")
    building = Path(tempfile.mkdtemp(dir=target.parent, prefix=UNPACKING))
    try:
        with open_file(path) as stream:
            for member in _checked(path, stream):
                _write(member, building / member.name)
        try:
            building.rename(target)
        except OSError:
            # Another experiment was faster.
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """What a process that was killed did not finish: a day old, since another may be at work now."""
    for path in folder.glob(f"{UNPACKING}*"):
        if time.time() - path.stat().st_mtime > LEFTOVER_S:
            shutil.rmtree(path, ignore_errors=True)


def _write(member: Member, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, path.open("xb") as target:
        left = member.size_bytes
        while left > 0 and (block := source.read(min(left, BLOCK_BYTES))):
            target.write(block)
            left -= len(block)


def _checked(path: str, stream: IO[bytes]) -> Iterator[Member]:
    """The files that a source may hold. Raises DataError for a member that should not be."""
    seen: set[str] = set()
    for member in _zip_members(stream) if path.lower().endswith(ZIPS) else _tar_members(stream):
        parts = member.name.replace("\\", "/").split("/")
        if any(is_hidden(part) for part in parts if part not in (".", "..")):
            continue
        if ".." in parts or not parts[0] or "\0" in member.name or DRIVE.fullmatch(parts[0]):
            raise DataError(f"{path}: the member {member.name!a} leads out of its folder", "do not trust this file")
        if not member.is_file:
            raise DataError(f"{path}: the member {member.name!a} is a link or a device", "pack plain files only")
        name = "/".join(part for part in parts if part not in ("", "."))
        if name in seen:
            raise DataError(f"{path}: the member {member.name!a} comes twice", "pack each file once")
        seen.add(name)
        if os.path.splitext(name)[1].lower() in WANTED:
            yield Member(name, member.size_bytes, True, member.open)


def _zip_members(stream: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            if not info.filename.endswith("/"):
                plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
                yield Member(info.filename, info.file_size, plain, partial(archive.open, info))


def _tar_members(stream: IO[bytes]) -> Iterator[Member]:
    with tarfile.open(fileobj=stream, mode="r:*") as archive:
        for info in archive:
            if not info.isdir():
                yield Member(info.name, info.size, info.isreg(), partial(archive.extractfile, info))


def _inner(folder: Path) -> Path:
    entries = [entry for entry in folder.iterdir() if not is_hidden(entry.name)]
    if len(entries) != 1 or not entries[0].is_dir():
        return folder
    return entries[0] if any(entry.is_dir() for entry in entries[0].iterdir()) else folder
