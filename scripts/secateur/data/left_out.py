"""What a search for images leaves out: how many files for which reason, so that every file is accounted for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

HIDDEN = "hidden"
BESIDE_CLASSES = "beside the class folders"
NO_LABEL = "in folders without classes"
LINKED = "linked folders"
OTHER_DEVICE = "linked folders of another device"
SEEN_BEFORE = "linked folders that were read already"
UNREADABLE = "that cannot be read"
COPIES = "copies of other images"
SEVERAL_CLASSES = "of several classes"
NOT_ANNOTATED = "without a class in the annotations"
SUFFIX = "with the suffix"
NO_SUFFIX = "without a suffix"
LITTER = "of another program:"
# Suffixes of images that other programs write. A file with one of these is an image, but not one that is read here.
OTHER_IMAGES = frozenset({
    ".3fr", ".arw", ".avif", ".avifs", ".bpg", ".cr2", ".cr3", ".cur", ".dcm", ".dcr", ".dds", ".dib", ".dng", ".emf",
    ".erf", ".exr", ".fit", ".fits", ".fts", ".hdr", ".heic", ".heics", ".heif", ".heifs", ".hif", ".icns", ".ico",
    ".j2c", ".j2k", ".jfi", ".jfif", ".jif", ".jls", ".jp2", ".jpc", ".jpe", ".jpf", ".jpm", ".jps", ".jpx", ".jxl",
    ".jxr", ".kdc", ".mef", ".mos", ".mpo", ".mrw", ".nef", ".nii", ".nrw", ".orf", ".pbm", ".pcx", ".pef", ".pgm",
    ".pic", ".pnm", ".ppm", ".ps", ".psb", ".psd", ".qoi", ".raf", ".ras", ".raw", ".rgb", ".rw2", ".sgi", ".sr2",
    ".srw", ".svg", ".tga", ".wbmp", ".wdp", ".wmf", ".x3f", ".xbm", ".xcf", ".xpm",
})  # fmt: skip


@dataclass
class LeftOut:
    """Numbers of files by reason.

    Attributes:
        files: reason -> number of files, or of folders where only folders are counted.
        examples: reason -> the first path.
    """

    files: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, path: str, files: int = 1) -> None:
        """Count files; a reason with 0 files is not kept."""
        if files:
            self.files[reason] = self.files.get(reason, 0) + files
            self.examples.setdefault(reason, path)

    def merge(self, other: LeftOut) -> None:
        """Add what another search left out."""
        for reason, files in other.files.items():
            self.add(reason, other.examples[reason], files)

    def count(self, reason: str, paths: Iterable[str]) -> None:
        """Count each of these files."""
        for path in paths:
            self.add(reason, path)

    @property
    def total(self) -> int:
        """The number of all files."""
        return sum(self.files.values())

    def as_json(self) -> dict[str, dict[str, Any]]:
        """Reason -> number and example, the largest number first."""
        return {reason: {"files": self.files[reason], "example": self.examples[reason]} for reason in self._ordered()}

    @staticmethod
    def from_json(content: Mapping[str, Mapping[str, Any]]) -> LeftOut:
        """From what `as_json` made."""
        left_out = LeftOut()
        for reason, found in content.items():
            left_out.add(reason, found["example"], found["files"])
        return left_out

    def in_words(self) -> str:
        """The reasons with their numbers, such as `with the suffix .heic (15), hidden (2)`."""
        return ", ".join(self._with_number(reason) for reason in self._ordered())

    def warnings(self) -> list[str]:
        """A sentence for each reason behind which a user can miss images."""
        return [
            f"left out: {self._with_number(reason)}, such as {self.examples[reason]}; {advice}"
            for reason in self._ordered()
            if (advice := _advice(reason))
        ]

    def _with_number(self, reason: str) -> str:
        return f"{reason} ({self.files[reason]:,})"

    def _ordered(self) -> list[str]:
        return sorted(self.files, key=lambda reason: (-self.files[reason], reason))


def suffix_reason(path: str) -> str:
    """The reason for a file that has no suffix of an image that is read here."""
    suffix = os.path.splitext(path)[1].lower()
    return f"{SUFFIX} {suffix}" if suffix else NO_SUFFIX


def accounted(used: int, left_out: LeftOut, what: str) -> str:
    """One line that adds up: all files, those that are used, those that are left out by reason."""
    if not left_out.total:
        return f"{used:,} files, all {what}"
    return f"{used + left_out.total:,} files: {used:,} {what}; left out: {left_out.in_words()}"


def _advice(reason: str) -> str:
    """What to do about files that may be images; empty if they are none."""
    if reason.startswith(SUFFIX) and reason.rpartition(" ")[2] in OTHER_IMAGES:
        return "this format is not read here: convert them to JPEG or PNG"
    return {
        BESIDE_CLASSES: "put each image into the folder of its class",
        NO_LABEL: "images need a folder for each class",
        LINKED: "set data.follow_links: True to read them",
        OTHER_DEVICE: "give the folder itself, or copy its images",
        NO_SUFFIX: "images need a suffix such as .jpg",
    }.get(reason, "")
