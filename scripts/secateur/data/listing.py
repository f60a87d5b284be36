"""Walking folders of images without opening a file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator


def is_hidden(name: str) -> bool:
    """Files and folders that are not the user's data."""
    return name.startswith((".", "__MACOSX"))


def files_below(folder: str) -> Iterator[str]:
    """Paths of all files below a folder, sorted within each folder; links to folders are not followed."""
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield from (os.path.join(where, name) for name in sorted(files) if not is_hidden(name))


def listing_digest(roots: list[str]) -> str:
    """Digest of the names and sizes of all files below `roots`: cheap, so that a workflow notices new images."""
    digest = hashlib.sha256()
    for root in roots:
        for path in files_below(root):
            try:
                size_bytes = os.stat(path).st_size
            except OSError:
                size_bytes = -1
            digest.update(f"{path}\0{size_bytes}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]
