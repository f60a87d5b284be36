"""Walk through folders as users have them: links, loops, folders of other programs, folders without permission."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from secateur.data.left_out import HIDDEN, LINKED, LITTER, OTHER_DEVICE, SEEN_BEFORE, LeftOut
from secateur.errors import DataError

# Folders that file servers, systems and photo programs put beside a user's files: thumbnails, bins, snapshots.
LITTER_NAMES = frozenset({
    "@eadir", "@recycle", "#recycle", "#snapshot", "@recently-snapshot", "@tmp", "@sharebin", "@__thumb",
    "$recycle.bin", "recycler", "recycled", "system volume information", "lost+found", "found.000", "__macosx",
    "__pycache__", "_vti_cnf", "thumbs.db", "desktop.ini", "icon\r",
})  # fmt: skip


def is_hidden(name: str) -> bool:
    """Whether a name belongs to a hidden file or folder, which is not the user's data."""
    return name.startswith(".")


def is_litter(name: str) -> bool:
    """Whether another program makes files or folders of this name beside a user's files."""
    return name.casefold() in LITTER_NAMES


def is_foreign(name: str) -> bool:
    """Whether a file or folder is hidden, or another program's."""
    return is_hidden(name) or is_litter(name)


def foreign_reason(name: str) -> str:
    """Why a file or folder is left out, for which `is_foreign` holds."""
    return f"{LITTER} {name}" if is_litter(name) else HIDDEN


def walk(folder: str, left_out: LeftOut, follow_links: bool = True, strict: bool = True) -> Iterator[str]:
    """The paths of all files below a folder, in order.

    A link to a folder is followed within the device of `folder`; a folder that comes twice is read once, so that loops
    end. Hidden files and folders, and those of other programs, are left out.

    Args:
        folder: on a local disk.
        left_out: receives what is left out. Of a folder of another program its files count, of a hidden or linked
            folder only the folder.
        follow_links: whether links to folders are followed.
        strict: whether a folder that cannot be read is an error.

    Raises:
        DataError: a folder cannot be read.
    """
    # The folders above are seen: a link to one of them leads to this folder again, and to the other classes.
    above = [os.stat(path) for path in (Path(folder), *Path(os.path.realpath(folder)).parents)]
    entry = _Entry(above[0].st_dev, {(about.st_dev, about.st_ino) for about in above}, left_out, follow_links)
    for where, folders, files in os.walk(folder, onerror=_refuse if strict else None, followlinks=follow_links):
        folders[:] = [name for name in sorted(folders) if entry.allowed(where, name)]
        for name in sorted(files):
            path = os.path.join(where, name)
            if is_foreign(name):
                left_out.add(foreign_reason(name), path)
            else:
                yield path


class _Entry:
    """Decides which folders a walk enters.

    Args:
        device: of the folder where it starts.
        seen: device and inode of each folder that it has entered.
        left_out: receives the others.
        follow_links: whether links are followed.
    """

    def __init__(self, device: int, seen: set[tuple[int, int]], left_out: LeftOut, follow_links: bool) -> None:
        self.device, self.seen, self.left_out, self.follow_links = device, seen, left_out, follow_links

    def allowed(self, where: str, name: str) -> bool:
        path = os.path.join(where, name)
        if is_litter(name):
            self.left_out.add(foreign_reason(name), path, files_inside(path))
            return False
        reason = HIDDEN if is_hidden(name) else self._reason(path)
        if reason:
            self.left_out.add(reason, path)
        return not reason

    def _reason(self, path: str) -> str:
        linked = os.path.islink(path)
        if linked and not self.follow_links:
            return LINKED
        about = os.stat(path)
        if linked and about.st_dev != self.device:
            return OTHER_DEVICE
        place = (about.st_dev, about.st_ino)
        if place in self.seen:
            return SEEN_BEFORE
        self.seen.add(place)
        return ""


def files_inside(folder: str) -> int:
    """The number of files in a folder; 1 for a file."""
    return sum(len(files) for _, _, files in os.walk(folder)) if os.path.isdir(folder) else 1


def _refuse(error: OSError) -> None:
    raise DataError(
        f"cannot read the folder {error.filename}: {error.strerror}",
        "give yourself the right to read it, or move it away",
    ) from error
