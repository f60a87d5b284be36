"""Unpack archives of images (zip and tar) once. Every member is checked first."""

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

# Suffixes of the files that are unpacked: images; Pascal VOC's annotations and lists.
WANTED = SUFFIXES | {".xml", ".txt"}
BLOCK_BYTES = 1 << 20
DRIVE = re.compile("[A-Za-z]:")
UNPACKING, LEFTOVER_S = ".unpacking-", 86_400
# Exceptions of `zipfile` and `tarfile` for a damaged archive; an encrypted member raises RuntimeError.
ARCHIVE_ERRORS = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RuntimeError, NotImplementedError,
)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: with `/` between folders, as in the archive.
        size_bytes: unpacked size, as the archive declares it.
        is_file: whether it is a file and not a link or a device. Folders are not listed.
        open: opens its content.
    """

    name: str
    size_bytes: int
    is_file: bool
    open: Callable[[], Any]


def unpacked(path: str, folder: Path | str) -> str:
    """Unpack an archive, unless it was unpacked before.

    Args:
        path: of the archive; can be a URL.
        folder: of all unpacked archives; each has a subfolder, named by the digest of its content.

    Returns:
        The folder that holds the class folders. If the archive has a single top folder without images, as
        `zip -r flowers.zip flowers` creates it, that folder is returned.

    Raises:
        DataError: the archive cannot be read, or a member has an absolute path, leads out of the folder, is a link or
            comes twice.
        ArtifactError: the disk is full.
    """
    try:
        digest = hashlib.sha256(fingerprint(path).encode()).hexdigest() if is_url(path) else sha256_of(path)
        target = Path(folder) / digest[:32]
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
        require_space(target.parent, sum(member.size_bytes for member in _checked(path, stream)), f"images of {path}")
    building = Path(tempfile.mkdtemp(dir=target.parent, prefix=UNPACKING))
    try:
        with open_file(path) as stream:
            for member in _checked(path, stream):
                _write(member, building / member.name)
        try:
            building.rename(target)
        except OSError:
            # Another process unpacked the same archive first.
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove folders that a killed process left: those older than a day, since a newer one may be in use."""
    for path in folder.glob(f"{UNPACKING}*"):
        if time.time() - path.stat().st_mtime > LEFTOVER_S:
            shutil.rmtree(path, ignore_errors=True)


def _write(member: Member, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as stream, path.open("xb") as target:
        left = member.size_bytes
        while left > 0 and (block := stream.read(min(left, BLOCK_BYTES))):
            target.write(block)
            left -= len(block)


def _checked(path: str, stream: IO[bytes]) -> Iterator[Member]:
    """The members to unpack. Raises DataError for a member that is not allowed."""
    seen: set[str] = set()
    for member in _zip_members(stream) if path.lower().endswith(ZIPS) else _tar_members(stream):
        parts = member.name.replace("\\", "/").split("/")
        if any(is_hidden(part) for part in parts if part not in (".", "..")):
            continue
        if ".." in parts or not parts[0] or "\0" in member.name or DRIVE.fullmatch(parts[0]):
            raise DataError(f"{path}: the member {member.name!a} leads out of its folder", "do not trust this file")
        if not member.is_file:
            raise DataError(
                f"{path}: the member {member.name!a} is a link or a device",
                "create the archive again with plain files only",
            )
        name = "/".join(part for part in parts if part not in ("", "."))
        if name in seen:
            raise DataError(
                f"{path}: the member {member.name!a} comes twice", "create the archive again with each file once"
            )
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
