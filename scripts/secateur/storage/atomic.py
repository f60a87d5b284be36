"""Write files atomically. A partly written file never has its final name.

See docs/decisions/atomic-files.md.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pwd
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from secateur.errors import ArtifactError
from secateur.storage.locks import process_lives
from secateur.storage.regular_files import open_regular, read_regular

READ_CHUNK_BYTES = 1 << 20
DAY_S = 24 * 3600
TOKEN_BYTES = 4
SUPERUSER = 0
SHARED = "SECATEUR_SHARED_RESULTS"
# Errors of a full disk, of a quota, and of a limit on the size of a file.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_file(path: Path | str, size_bytes: int = 0, unnamed: bool = False) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` for reading and writing. It becomes `path` if the block ends without error.

    After an exception the temporary file is removed, and an older `path` is not changed. Until the end only its owner
    can read it. Nobody can know its name before, and links are not followed.

    Args:
        path: the final name.
        size_bytes: the approximate size if it is known, for the error about a full disk.
        unnamed: the temporary file has no name until it is whole, so that a killed process leaves nothing of it. This
            is not possible on every file system; elsewhere it has a name.

    Raises:
        ArtifactError: the folder cannot be created or written, or the disk is full.
    """
    path = Path(path)
    token = secrets.token_hex(TOKEN_BYTES)
    temporary = path.with_name(f".{path.name}.{token}.tmp-{socket.gethostname()}-{os.getpid()}")
    written = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _opened(temporary, unnamed) as stream:
            try:
                yield stream
                stream.flush()
                os.fchmod(stream.fileno(), 0o666 & ~_umask())
                os.fsync(stream.fileno())
                if not os.fstat(stream.fileno()).st_nlink:
                    _give_name(stream.fileno(), temporary)
            finally:
                written = os.fstat(stream.fileno()).st_size
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _not_written(path, error, max(size_bytes, written)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _opened(temporary: Path, unnamed: bool) -> IO[bytes]:
    if unnamed:
        with suppress(OSError):
            return os.fdopen(os.open(temporary.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600), "w+b")
    return open(temporary, "x+b", opener=_only_ours)


def _give_name(descriptor: int, path: Path) -> None:
    # Without `src_dir_fd` Python calls link(), which would link the name in /proc itself.
    folder = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(str(descriptor), path, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _only_ours(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _umask() -> int:
    """The permissions that new files do not get. `os.umask` can only be read by changing it, for all threads."""
    with suppress(OSError, ValueError), open("/proc/self/status", encoding="ascii", errors="replace") as stream:
        for line in stream:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


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


def read_json(path: Path | str, hint: str = "run the step that makes it again") -> Any:
    """Read a JSON file.

    Args:
        path: of the file.
        hint: what to do if it cannot be read.

    Raises:
        ArtifactError: the file is missing or is not JSON.
    """
    try:
        return json.loads(read_regular(path).decode("utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}", hint) from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is damaged, it is not JSON: {error}", hint) from error


def _no_number(word: str) -> None:
    """Refuse NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(f"{word} is not a number")


def sha256_of(path: Path | str) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        while chunk := stream.read(READ_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def require_writable(folder: Path | str, ours: bool = False) -> None:
    """Create `folder` and test that a file can be written there, before hours of work depend on it.

    Args:
        folder: to write into.
        ours: also refuse a folder of another user, who can replace models and put links there. The superuser's own
            folders, and all folders for the superuser, are accepted; so are those of a group that trusts each other,
            with `SECATEUR_SHARED_RESULTS=yes` in the environment.

    Raises:
        ArtifactError: the folder cannot be created or written, or belongs to another user.
    """
    probe = Path(folder) / f".writable-{secrets.token_hex(TOKEN_BYTES)}"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        with open(probe, "xb", opener=_only_ours) as stream:
            # Not the number of the process: a file system of another machine can store a different one.
            own = os.fstat(stream.fileno()).st_uid
            probe.unlink()
        owner = os.stat(folder).st_uid
    except OSError as error:
        raise ArtifactError(
            f"cannot write into {folder}: {error.strerror or error}", "choose a writable results_dir"
        ) from error
    if ours and owner not in (own, SUPERUSER) and os.geteuid() != SUPERUSER and os.environ.get(SHARED) != "yes":
        raise ArtifactError(
            f"{folder} belongs to {_user(owner)}, who can replace the files in it",
            f"choose another results_dir; or, in a group that trusts each other, set {SHARED}=yes",
        )


def _user(number: int) -> str:
    try:
        return f"the user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"the user with number {number}"
