"""Files on local disks, by path, and elsewhere, by a URL that fsspec opens (`s3://`, `gs://`, `http://`)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

from fsspec.core import url_to_fs

from secateur.errors import DataError

ZIPS = (".zip",)
ARCHIVES = (*ZIPS, ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
TABLES = (".csv", ".parquet")
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(path: str) -> bool:
    """Whether fsspec opens this path."""
    return URL.match(path) is not None


def is_archive(path: str) -> bool:
    """Whether a file is a table or an archive, by its suffix."""
    return path.lower().endswith(ARCHIVES)


def is_file_source(path: str) -> bool:
    """Whether a place of images is one local file: a table or an archive."""
    suffix = path.lower().endswith((*TABLES, *ARCHIVES))
    return suffix and not is_url(path) and not os.path.isdir(path)


def is_hidden(name: str) -> bool:
    """Whether a name belongs to a hidden file or folder, which is not the user's data."""
    return name.startswith((".", "__MACOSX"))


def join(folder: str, *parts: str) -> str:
    """The path or URL of a name below a folder. An absolute path or a URL is not changed."""
    if is_url(folder):
        return parts[-1] if is_url(parts[-1]) else "/".join((folder.rstrip("/"), *parts))
    return parts[-1] if is_url(parts[-1]) else os.path.join(folder, *parts)


def parent(path: str) -> str:
    """The folder that holds a file."""
    return path.rpartition("/")[0] if is_url(path) else os.path.dirname(path)


@contextmanager
def open_file(path: str) -> Iterator[IO[bytes]]:
    """Open a file for reading.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: a local file cannot be read.
        DataError: the remote filesystem fails, or needs a package that is not installed.
    """
    if is_url(path):
        with _told(path):
            filesystem, name = url_to_fs(path)
            remote = filesystem.open(name, "rb")
        with remote:
            yield remote
    else:
        with Path(path).open("rb") as local:
            yield local


def read_bytes(path: str) -> bytes:
    """The content of a file. Raises as `open_file`."""
    with open_file(path) as stream, _told(path):
        return bytes(stream.read())


def fingerprint(path: str) -> str:
    """The facts by which a remote filesystem tells a changed file. Raises FileNotFoundError, DataError."""
    with _told(path):
        filesystem, name = url_to_fs(path)
        return str(filesystem.ukey(name))


def files_below(folder: str) -> Iterator[str]:
    """The paths of all files below a folder, in order; links to folders are not followed. Raises DataError for URLs."""
    if is_url(folder):
        yield from remote_files(folder)
        return
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield from (os.path.join(where, name) for name in sorted(files) if not is_hidden(name))


# Names that filesystems give to facts that differ if a file has changed.
MARKERS = (
    "size", "ETag", "etag", "md5Hash", "md5", "checksum", "crc32c", "generation", "VersionId", "version_id",
    "LastModified", "last_modified", "updated", "mtime", "created",
)  # fmt: skip


def remote_files(folder: str) -> list[str]:
    """URLs of all files below a URL, sorted.

    Raises:
        FileNotFoundError: there is no such folder.
        DataError: its filesystem fails.
    """
    return [url for url, _ in remote_markers(folder)]


def remote_markers(folder: str) -> list[tuple[str, str]]:
    """The sorted URLs of the files below a URL, with facts that change with their content. Raises as `remote_files`."""
    with _told(folder):
        filesystem, root = url_to_fs(folder)
        found = filesystem.find(root, detail=True)
        if not found:
            # `ls` gives the reason of a failure, `find` does not.
            filesystem.ls(root)
    start = len(root.rstrip("/")) + 1
    below = sorted((name[start:], _marker(about)) for name, about in found.items() if name[start:])
    return [(join(folder, name), marker) for name, marker in below if not any(map(is_hidden, name.split("/")))]


def _marker(about: dict[str, Any]) -> str:
    return " ".join(f"{name}={about[name]}" for name in MARKERS if about.get(name) is not None)


def tree(folder: str) -> dict[str, Iterator[str]]:
    """The files below each direct subfolder of `folder`, by the subfolder's name.

    Raises:
        OSError: a local folder cannot be read.
        DataError: a remote folder cannot be read.
    """
    if not is_url(folder):
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not is_hidden(entry.name))
        return {name: files_below(os.path.join(folder, name)) for name in names}
    grouped: dict[str, list[str]] = {}
    start = len(folder.rstrip("/")) + 1
    for path in remote_files(folder):
        top, slash, _ = path[start:].partition("/")
        if slash:
            grouped.setdefault(unquote(top) if folder.startswith("http") else top, []).append(path)
    return {name: iter(paths) for name, paths in grouped.items()}


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Turn the exceptions of remote filesystems, which can be of any class, into DataError."""
    try:
        yield
    except (FileNotFoundError, DataError):
        raise
    except ImportError as error:
        raise DataError(f"{path}: {error}", "install the package that it names") from error
    except Exception as error:
        if not is_url(path):
            raise
        reason = str(error) or type(error).__name__
        raise DataError(f"cannot read {path}: {reason}", "check the URL, the network and your credentials") from error
