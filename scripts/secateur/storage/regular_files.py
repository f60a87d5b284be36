"""Open files of strangers: a pipe or a device in their place would never end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

# Files that the process has open already.
OF_THIS_PROCESS = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
NO_FILE = "not a regular file"


def open_regular(path: Path | str) -> IO[bytes]:
    """Open a file for reading.

    Raises:
        OSError: the file cannot be read, or is a pipe, a device or a folder.
    """
    return os.fdopen(_opened(path, os.O_RDONLY), "rb")


def open_given(path: Path | str) -> IO[bytes]:
    """Open a file that the user of this process names, who can give a pipe of the shell: `<(command)`, `/dev/stdin`.

    Raises:
        OSError: as `open_regular`, for any other path.
    """
    return open(path, "rb") if str(path).startswith(OF_THIS_PROCESS) else open_regular(path)


def append_regular(path: Path | str) -> IO[bytes]:
    """Open a file of ours for reading and appending; it is created if it is missing.

    Raises:
        OSError: the file cannot be written, is a link, which somebody could have put there in a folder of several
            users, or is a pipe, a device or a folder.
    """
    return os.fdopen(_opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW), "ab+")


def _opened(path: Path | str, flags: int) -> int:
    # Without O_NONBLOCK a pipe blocks here.
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    except ValueError as error:
        raise OSError(errno.EINVAL, "the name has a null byte") from error
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind):
        os.close(descriptor)
        raise (
            IsADirectoryError(errno.EISDIR, "Is a directory") if stat.S_ISDIR(kind) else OSError(errno.EINVAL, NO_FILE)
        )
    return descriptor


def read_regular(path: Path | str) -> bytes:
    """The content of a file. Raises as `open_regular`."""
    with open_regular(path) as stream:
        return stream.read()
