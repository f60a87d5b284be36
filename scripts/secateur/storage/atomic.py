"""Write files atomically. A partly written file never has its final name.

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
# Errors of a full disk, of a quota, and of a limit on the size of a file.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_file(path: Path | str, size_bytes: int = 0) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` for reading and writing. It becomes `path` if the block ends without error.

    After an exception the temporary file is removed, and an older `path` is not changed.

    Args:
        path: the final name.
        size_bytes: the approximate size if it is known, for the error about a full disk.

    Raises:
        ArtifactError: the folder cannot be created or written, or the disk is full.
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
    """The error for a file that could not be written. If the disk is full it names the needed bytes."""
    message = f"cannot write {path}: {error.strerror or error}"
    if error.errno not in NO_ROOM:
        return ArtifactError(message, "choose a writable results_dir")
    return ArtifactError(
        f"{message}; it needs {needed:,} bytes or more", f"free {needed:,} bytes there, or choose another results_dir"
    )


def require_space(folder: Path | str, size_bytes: int, what: str) -> None:
    """Raise an error now if the disk is too full for files that will be written later.

    Args:
        folder: for the files; it exists.
        size_bytes: approximate size of the files.
        what: the files, for the error.

    Raises:
        ArtifactError: the disk has less free space.
    """
    free = shutil.disk_usage(folder).free
    if free < size_bytes:
        raise ArtifactError(
            f"{what} in {folder} need about {size_bytes:,} bytes, but only {free:,} are free",
            f"free {size_bytes - free:,} bytes, or choose another results_dir",
        )


def remove_leftovers(folder: Path | str) -> None:
    """Remove the temporary files of dead processes in `folder`.

    A process on another host cannot be checked, so its files are removed if they are older than a day.
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
    """Write `text` as UTF-8, atomically. File names that are not valid UTF-8 are written as their original bytes."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN is refused: it is not JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        # The text has a file name that is not valid UTF-8: JSON can hold it only in escaped form.
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
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(READ_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def require_writable(folder: Path | str) -> None:
    """Create `folder` and test that a file can be written there, before hours of work depend on it.

    Raises:
        ArtifactError: the folder cannot be created or written.
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
