"""Which paths and URLs are opened, and which ones data may name.

See docs/decisions/untrusted-data.md.
"""

from __future__ import annotations

import os
import re
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from secateur.errors import DataError

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# fsspec knows many more. Some of them compute, start programs, or read other addresses that stand in the URL.
SCHEMES = ("file", "http", "https", "s3", "gs", "gcs", "az", "abfs", "memory")
# fsspec opens `one::two` by giving the second address to the first filesystem.
CHAIN = "::"

Reach = Literal["inside", "anywhere"]


def is_url(path: str) -> bool:
    """Whether a path is a URL, which fsspec opens if its scheme is allowed."""
    return URL.match(path) is not None


def without_credentials(url: str) -> str:
    """The URL with `***` in place of user and password."""
    return re.sub(r"(?<=://)[^/?#]*@", "***@", url)


def without_credentials_in(value: Any) -> Any:
    """Plain data with `without_credentials` applied to every text."""
    if isinstance(value, dict):
        return {name: without_credentials_in(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_credentials_in(inner) for inner in value]
    return without_credentials(value) if isinstance(value, str) else value


def require_address(url: str) -> None:
    """Raise DataError for a URL of a scheme that is not allowed, a chain of URLs, or one with a password."""
    scheme, shown = url.partition("://")[0].lower(), without_credentials(url)
    if CHAIN in url:
        raise DataError(f"{shown}: a chain of URLs ({CHAIN}) is not opened", "copy the files to one place")
    if scheme not in SCHEMES:
        raise DataError(f"{shown}: {scheme}:// is not opened", f"use a path, or one of {', '.join(SCHEMES)}")
    if shown != url:
        raise DataError(
            f"{shown}: a user name or password in a URL would be written into manifests and reports",
            "put it into ~/.config/fsspec/ (docs/images.md)",
        )


def named_by_data(folder: str, name: str, reach: Reach) -> str:
    """The path or URL of a file that a table of a stranger names.

    Args:
        folder: of the table, a path or URL; relative names start there.
        name: in the table.
        reach: `inside` allows names below the folder, and URLs of the same host if the folder is a URL; `anywhere`
            allows all paths and addresses.

    Raises:
        DataError: the name is not allowed; the message is the reason only.
    """
    if is_url(name) or (CHAIN in name and "://" in name):
        require_address(name)
        if reach == "inside" and not _is_of_same_host(name, folder):
            raise DataError("is an address outside the table's own host")
        return name
    if is_url(folder):
        if name.startswith("/") or ".." in name.split("/"):
            raise DataError("leads out of the table's folder")
        return f"{folder.rstrip('/')}/{name}"
    path = os.path.join(folder, name)
    if reach == "inside" and not _is_below(path, folder):
        raise DataError("leads out of the table's folder")
    return path


def _is_of_same_host(url: str, folder: str) -> bool:
    """Whether a URL is of the scheme and host of a folder; on this machine, whether it is below the folder."""
    if not is_url(folder):
        return False
    one, other = urlsplit(url), urlsplit(folder)
    if (one.scheme.lower(), one.netloc.lower()) != (other.scheme.lower(), other.netloc.lower()):
        return False
    return one.scheme.lower() != "file" or _is_below(unquote(one.path), unquote(other.path))


def _is_below(path: str, folder: str) -> bool:
    root = os.path.abspath(folder).rstrip("/")
    return os.path.abspath(path).startswith(f"{root}/")
