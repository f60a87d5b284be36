"""A digest of what images there are, so that the workflow notices new ones without opening any."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from secateur.data.filesystem import files_below, is_url, remote_files


def listing_digest(roots: list[str], times: bool = False) -> str:
    """Digest of the names and sizes of all files below `roots`, and of their times of change where these are on a disk.

    Raises:
        DataError: a URL cannot be read.
    """
    digest = hashlib.sha256()
    for root in roots:
        for path, size_bytes in _sizes(root, times):
            digest.update(f"{path}\0{size_bytes}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _sizes(root: str, times: bool) -> Iterator[tuple[str, Any]]:
    if is_url(root):
        # That there is none is for split to say.
        with suppress(FileNotFoundError):
            yield from remote_files(root)
        return
    for path in files_below(root):
        try:
            about = os.stat(path)
            yield path, (about.st_size, about.st_mtime_ns) if times else about.st_size
        except OSError:
            yield path, -1
