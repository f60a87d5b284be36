"""Files on local disks, by path, and elsewhere, by a URL that fsspec opens (`s3://`, `gs://`, `http://`)."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any
from urllib.parse import unquote

from fsspec.core import url_to_fs
from fsspec.implementations.http import HTTPFileSystem

from secateur.data.addresses import is_url, require_address
from secateur.data.left_out import LINKED, LeftOut
from secateur.data.walking import files_inside, foreign_reason, is_foreign, is_litter, walk
from secateur.errors import DataError
from secateur.storage.regular_files import open_regular

ZIPS = (".zip",)
ARCHIVES = (*ZIPS, ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
TABLES = (".csv", ".tsv", ".parquet")
# Larger files are no images: at the pixel limit 16-bit colour needs half a gigabyte.
MAX_FILE_BYTES = 1 << 30
# Of a web server's pages; data sets have one folder for each class.
MAX_FOLDERS, MAX_DEPTH = 100_000, 16


def is_archive(path: str) -> bool:
    """Whether a file is a table or an archive, by its suffix."""
    return path.lower().endswith(ARCHIVES)


def is_file_source(path: str) -> bool:
    """Whether a place of images is one local file: a table or an archive."""
    suffix = path.lower().endswith((*TABLES, *ARCHIVES))
    return suffix and not is_url(path) and not os.path.isdir(path)


def join(folder: str, *parts: str) -> str:
    """The path or URL of a name below a folder. An absolute path or a URL is not changed."""
    if is_url(folder):
        return parts[-1] if is_url(parts[-1]) else "/".join((folder.rstrip("/"), *parts))
    return parts[-1] if is_url(parts[-1]) else os.path.join(folder, *parts)


def is_there(table: str, name: str) -> bool:
    """Whether a table on a local disk names a file so. A name on a network is not looked up."""
    return not is_url(table) and not is_url(name) and os.path.exists(join(parent(table), name))


def parent(path: str) -> str:
    """The folder that holds a file."""
    return path.rpartition("/")[0] if is_url(path) else os.path.dirname(path)


def is_remote(path: str) -> bool:
    """Whether a place is read through a network. `file://` is another way to write a path."""
    return is_url(path) and not path.lower().startswith("file:")


@contextmanager
def open_file(path: str) -> Iterator[IO[bytes]]:
    """Open a file for reading.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: a local file cannot be read.
        DataError: the remote filesystem fails, or needs a package that is not installed.
    """
    if is_remote(path):
        with _told(path):
            filesystem, name = _filesystem(path)
            remote = filesystem.open(name, "rb")
        with remote:
            yield remote
    else:
        with open_regular(_filesystem(path)[1] if is_url(path) else path) as local:
            yield local


def read_bytes(path: str) -> bytes:
    """The content of a file of at most `MAX_FILE_BYTES`. Raises as `open_file`, and OSError for a larger file."""
    with open_file(path) as stream:
        with _told(path):
            if is_remote(path):
                content = bytes(stream.read(MAX_FILE_BYTES + 1))
                size = len(content)
            else:
                size = os.fstat(stream.fileno()).st_size
                content = bytes(stream.read()) if size <= MAX_FILE_BYTES else b""
        if size > MAX_FILE_BYTES:
            raise OSError(errno.EFBIG, f"larger than {MAX_FILE_BYTES:,} bytes")
        return content


def _filesystem(url: str) -> tuple[Any, str]:
    """The filesystem of fsspec for a URL, and the name there. Raises DataError for an address that is not allowed."""
    require_address(url)
    filesystem, name = url_to_fs(url)
    return filesystem, name


def fingerprint(path: str) -> str:
    """The facts by which a remote filesystem tells a changed file. Raises FileNotFoundError, DataError."""
    with _told(path):
        filesystem, name = _filesystem(path)
        return str(filesystem.ukey(name))


def files_below(
    folder: str, left_out: LeftOut | None = None, follow_links: bool = True, strict: bool = True
) -> Iterator[str]:
    """The paths or URLs of all files below a folder, in order, as `walk`.

    Raises:
        FileNotFoundError: a URL has no folder there.
        DataError: a folder cannot be read.
    """
    left_out = LeftOut() if left_out is None else left_out
    if is_url(folder):
        yield from remote_files(folder, left_out)
    else:
        yield from walk(folder, left_out, follow_links, strict)


# Names that filesystems give to facts that differ if a file has changed.
MARKERS = (
    "size", "ETag", "etag", "md5Hash", "md5", "checksum", "crc32c", "generation", "VersionId", "version_id",
    "LastModified", "last_modified", "updated", "mtime", "created",
)  # fmt: skip


def remote_files(folder: str, left_out: LeftOut | None = None) -> list[str]:
    """URLs of all files below a URL, sorted. `left_out` receives those of other programs.

    Raises:
        FileNotFoundError: there is no such folder.
        DataError: its filesystem fails.
    """
    return [url for url, _ in remote_markers(folder, left_out)]


def remote_markers(folder: str, left_out: LeftOut | None = None) -> list[tuple[str, str]]:
    """The sorted URLs of the files below a URL, with facts that change with their content. Raises as `remote_files`."""
    with _told(folder):
        filesystem, root = _filesystem(folder)
        found = (
            _walked(filesystem, root) if isinstance(filesystem, HTTPFileSystem) else filesystem.find(root, detail=True)
        )
        if not found:
            # `ls` gives the reason of a failure, `find` does not.
            filesystem.ls(root)
    start = len(root.rstrip("/")) + 1
    below = sorted((name[start:], _marker(about)) for name, about in found.items() if name[start:])
    kept = []
    for name, marker in below:
        foreign = next(filter(is_foreign, name.split("/")), None)
        if foreign is None:
            kept.append((join(folder, name), marker))
        elif left_out is not None:
            left_out.add(foreign_reason(foreign), join(folder, name))
    return kept


def _walked(filesystem: Any, root: str) -> dict[str, dict[str, Any]]:
    """All files below a page of links. A server can invent folders without end."""
    found: dict[str, dict[str, Any]] = {}
    for number, (where, folders, files) in enumerate(filesystem.walk(root, detail=True)):
        depth = where.rstrip("/").count("/") - root.rstrip("/").count("/")
        if number > MAX_FOLDERS or (folders and depth >= MAX_DEPTH):
            raise DataError(
                f"{root}: more than {MAX_FOLDERS:,} folders, or more than {MAX_DEPTH} below each other",
                "give the folder that holds the images",
            )
        found |= {about["name"]: about for about in files.values()}
    return found


def _marker(about: dict[str, Any]) -> str:
    return " ".join(f"{name}={about[name]}" for name in MARKERS if about.get(name) is not None)


@dataclass
class Folder:
    """What is directly in a folder.

    Attributes:
        folders: names of its subfolders.
        files: paths of its files.
        below: subfolder -> paths of all files below it; only of a URL, where they are known already.
        left_out: what belongs to other programs, or is linked and not followed.
    """

    folders: list[str]
    files: list[str]
    below: dict[str, list[str]] = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)


def folder_at(folder: str, follow_links: bool = True) -> Folder:
    """What is directly in a folder, sorted.

    Raises:
        OSError: a local folder cannot be read.
        DataError: a remote folder cannot be read.
    """
    found = Folder([], [])
    if not is_url(folder):
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if is_foreign(entry.name):
                inside = files_inside(entry.path) if is_litter(entry.name) else 1
                found.left_out.add(foreign_reason(entry.name), entry.path, inside)
            elif not _is_folder(entry):
                found.files.append(entry.path)
            elif entry.is_symlink() and not follow_links:
                found.left_out.add(LINKED, entry.path)
            else:
                found.folders.append(entry.name)
        return found
    start = len(folder.rstrip("/")) + 1
    for path in remote_files(folder, found.left_out):
        top, slash, _ = path[start:].partition("/")
        if slash:
            found.below.setdefault(unquote(top) if folder.startswith("http") else top, []).append(path)
        else:
            found.files.append(path)
    found.folders = list(found.below)
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or leads to one. No system call, except for a link; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


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
