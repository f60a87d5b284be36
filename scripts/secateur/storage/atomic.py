"""The one way in which files are written: complete under their final name, or not at all.

See docs/decisions/atomic-files.md.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from secateur.errors import ArtifactError
from secateur.storage.locks import process_lives

READ_CHUNK_BYTES = 1 << 20
DAY_S = 24 * 3600
# A full disk, a quota, a limit on the size of one file.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_file(path: Path | str, size_bytes: int = 0) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` for reading and writing; it becomes `path` when the block ends well.

    On any exception the temporary file is removed and an older `path` is left as it was.

    Args:
        path: the final name.
        size_bytes: about how large it will be, where that is known: for the error of a full disk.

    Raises:
        ArtifactError: the folder cannot be made or written, or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp-{socket.gethostname()}-{os.getpid()}")
    written = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "w+b") as stream:
            try:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            finally:
                written = temporary.stat().st_size
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _not_written(path, error, max(size_bytes, written)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _not_written(path: Path, error: OSError, needed: int) -> ArtifactError:
    """The error of a file that could not be written: with the bytes that are needed when there is no room for them."""
    message = f"cannot write {path}: {error.strerror or error}"
    if error.errno not in NO_ROOM:
        return ArtifactError(message, "choose a writable results_dir")
    return ArtifactError(
        f"{message}; it needs {needed:,} bytes or more", f"free {needed:,} bytes there, or choose another results_dir"
    )


def require_space(folder: Path | str, size_bytes: int, what: str) -> None:
    """Refuse to begin what cannot be stored.

    Args:
        folder: where files will be written; it exists.
        size_bytes: about how much.
        what: the files, for the error.

    Raises:
        ArtifactError: the disk has less room.
    """
    free = shutil.disk_usage(folder).free
    if free < size_bytes:
        raise ArtifactError(
            f"{what} in {folder} need about {size_bytes:,} bytes; {free:,} are free there",
            f"free {size_bytes - free:,} bytes, or choose another results_dir",
        )


def remove_leftovers(folder: Path | str) -> None:
    """Remove the temporary files that processes which are dead left in `folder`.

    Of another host nothing is known, so its files go when they are older than a day.
    """
    for path in Path(folder).glob(".*.tmp-*"):
        host, _, pid = path.name.rpartition(".tmp-")[2].rpartition("-")
        with suppress(OSError):
            here = host == socket.gethostname() and pid.isdigit()
            if not process_lives(int(pid)) if here else time.time() - path.stat().st_mtime > DAY_S:
                path.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write `content` atomically."""
    with atomic_file(path) as stream:
        stream.write(content)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, atomically. File names that are no UTF-8 come out as the bytes that they are."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN is refused: it is not JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        # The name of a file that is no UTF-8: JSON can hold it escaped only.
        text = json.dumps(value, indent=2, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        ArtifactError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot read {path}: {error}", "run the step that makes it again") from error


def sha256_of(path: Path | str) -> str:
    """Digest of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(READ_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def require_writable(folder: Path | str) -> None:
    """Make `folder` and prove that a file can be written there, before hours of work depend on it.

    Raises:
        ArtifactError: it cannot.
    """
    probe = Path(folder) / f".writable-{os.getpid()}"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ArtifactError(
            f"cannot write into {folder}: {error.strerror or error}", "choose a writable results_dir"
        ) from error
