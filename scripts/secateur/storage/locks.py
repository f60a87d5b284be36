"""Let only one process at a time work on the files of a step.

The kernel frees its lock on a file when the holder dies, for whatever reason. On a file system without such locks, the
process number of the holder decides.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from secateur.errors import ArtifactError, LockedError

SECONDS_BETWEEN_LOOKS = 0.2
LARGEST_PID = 2**22  # of Linux, see proc(5)
NO_LOCKS_HERE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def locked(path: Path | str, what: str, wait: bool = False) -> Iterator[None]:
    """Hold the lock file `path` while the block runs.

    Args:
        path: it is created if it is missing, and is not removed; its content names the holder.
        what: the locked thing, for the error in a second process.
        wait: whether to wait for the holder instead of raising an error.

    Raises:
        LockedError: another process holds the lock; the message names the process, its host and the start time.
        ArtifactError: the file cannot be created.
    """
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        raise not_written(path, error) from error
    try:
        if wait:
            acquire(descriptor, path)
        elif not acquire_now(descriptor, path):
            raise _refusal(path, what, holder_of(descriptor))
        write_holder(descriptor)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def not_written(path: Path | str, error: OSError) -> ArtifactError:
    """The error for a file that could not be opened for writing."""
    if error.errno == errno.ELOOP:
        return ArtifactError(f"{path} is a link, which is not followed", "remove the link")
    return ArtifactError(f"cannot write {path}: {error.strerror or error}", "choose a writable results_dir")


def acquire(descriptor: int, path: Path | str) -> None:
    """Lock an open file when its holder is done, else as `acquire_now`. The kernel serves waiting processes in order.

    Raises:
        ArtifactError: the file cannot be locked.
    """
    while not acquire_now(descriptor, path):
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


def acquire_now(descriptor: int, path: Path | str) -> bool:
    """Lock an open file if no other process holds it. Closing the file or the end of this process frees the lock.

    Raises:
        ArtifactError: the file cannot be locked.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS_HERE:
            raise ArtifactError(f"cannot lock {path}: {error.strerror}", "choose another results_dir") from error
        holder = holder_of(descriptor)
        return not (holder and _may_live(holder))
    return True


def holder_of(descriptor: int) -> dict[str, Any]:
    """The process that wrote the file last; empty if no process holds it, or if it is being written."""
    return holder_in(os.pread(descriptor, 4096, 0))


def holder_in(content: bytes) -> dict[str, Any]:
    """The process that the content of a lock file names; empty if it names none."""
    try:
        holder = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    known = isinstance(holder, dict) and type(holder.get("pid")) is int and 0 < holder["pid"] <= LARGEST_PID
    return holder if known else {}


def write_holder(descriptor: int) -> None:
    """Write the holder into a locked file."""
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    about = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(about).encode(), 0)


def _may_live(holder: dict[str, Any]) -> bool:
    """Whether the holder may be alive. A process on another host cannot be checked, so it may."""
    if holder.get("host") != socket.gethostname():
        return True
    return process_lives(holder["pid"])


def process_lives(pid: int) -> bool:
    """Whether a process runs on this host."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _refusal(path: Path | str, what: str, holder: dict[str, Any]) -> LockedError:
    who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')} since {holder.get('since', '?')}"
    return LockedError(
        f"{what} is in use by {who}",
        f"wait until it ends, or stop it; the lock is {path}",
    )
