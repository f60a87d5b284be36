"""The image cache: one file per split with its images, decoded and resized once to the size that later steps need.

    pixels of image 0, pixels of image 1, ... | index | offset of the index, uint64 | magic

All numbers are little-endian. The index has one row of `INDEX` per image. The name of a file is the digest of all that
its pixels depend on, so that a file is never out of date: it exists, or it is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import PIL
from numpy.typing import NDArray

from secateur.data.pipeline import ImageFiles, ImageReader, Stored
from secateur.errors import ArtifactError
from secateur.storage.atomic import atomic_file
from secateur.storage.regular_files import open_regular

MAGIC = b"secateur pack 2\n"
FOOTER = struct.Struct(f"<Q{len(MAGIC)}s")
INDEX = np.dtype(
    [
        ("offset", "<u8"), ("height", "<u4"), ("width", "<u4"), ("from_width", "<u4"), ("from_height", "<u4"),
        ("crc32", "<u4"), ("unused", "<u4"),
    ]
)  # fmt: skip
MAX_SIDE = 1 << 20
AGAIN = "delete it; the next run writes it again"
# Images that are decoded at a time while a file is written: limits the memory.
IMAGES_AT_ONCE = 256


class CachedImages:
    """A file of the image cache, mapped into memory. The pixels of an image are checked when it is read first.

    Args:
        path: of the file.
        channels: of an image.
        dtype: of a pixel.
        count: number of images.

    Raises:
        ArtifactError: it is not a complete file with this number of images.
    """

    def __init__(self, path: Path, channels: int, dtype: np.dtype[np.generic], count: int) -> None:
        self.channels, self.dtype = channels, dtype
        try:
            with open_regular(path) as stream:
                self.bytes = np.memmap(stream, np.uint8, "r")
            start, magic = FOOTER.unpack(self.bytes[-FOOTER.size :].tobytes())
            self.index = self.bytes[start : -FOOTER.size].view(INDEX)
        except (OSError, ValueError, struct.error) as error:
            raise ArtifactError(f"{path}: not a file of the image cache ({error})", AGAIN) from error
        self.path, self.checked = path, np.zeros(count, np.bool_)
        if magic != MAGIC or len(self.index) != count or not self._adds_up(start):
            raise ArtifactError(f"{path}: not a file of the image cache with {count} images", AGAIN)

    def _adds_up(self, end: int) -> bool:
        """Whether the images follow each other from the start of the file to the index."""
        height, width = self.index["height"].astype(np.int64), self.index["width"].astype(np.int64)
        if max(height.max(initial=0), width.max(initial=0)) > MAX_SIDE:
            return False
        ends = np.cumsum(height * width * self.channels * self.dtype.itemsize)
        bounds = np.concatenate([[0], ends]).astype(np.uint64)
        return np.array_equal(self.index["offset"], bounds[:-1]) and end == -(-int(bounds[-1]) // 8) * 8

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, position: int) -> Stored:
        row = self.index[position]
        shape = int(row["height"]), int(row["width"]), self.channels
        size = int(np.prod(shape)) * self.dtype.itemsize
        start = int(row["offset"])
        stored = self.bytes[start : start + size]
        if not self.checked[position]:
            if zlib.crc32(stored.data) != row["crc32"]:
                raise ArtifactError(f"{self.path}: image {position} of the image cache is damaged", AGAIN)
            self.checked[position] = True
        pixels = stored.view(self.dtype).reshape(shape)
        return Stored(pixels, (int(row["from_width"]), int(row["from_height"])))


def cache_path(folder: Path, reader: ImageReader, digests: Sequence[str], training: bool, code: str) -> Path:
    """The path of the image cache file for these images. The file need not exist.

    Args:
        folder: of the image cache.
        reader: decides what is stored per image.
        digests: of the image files, in order.
        training: whether the images are for training.
        code: digest of the code that decodes and resizes.
    """
    parts = {
        "geometry": reader.geometry(training),
        "pillow": PIL.__version__,
        "code": code,
        "images": hashlib.sha256("".join(digests).encode()).hexdigest(),
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return folder / f"{digest[:32]}.images"


def open_image_cache(path: Path, reader: ImageReader, count: int) -> CachedImages | None:
    """The cached images; None if the file does not exist. Raises ArtifactError."""
    if not path.exists():
        return None
    return CachedImages(path, reader.model_spec.input_image_size[0], reader.stored_dtype, count)


def write_image_cache(path: Path, images: ImageFiles, size_bytes: int) -> None:
    """Decode all images and write them into one file, atomically.

    Raises:
        DataError: an image cannot be read.
        ArtifactError: the disk is full; about `size_bytes` are needed.
    """
    with atomic_file(path, size_bytes) as target:
        _write(target, images)


def _write(target: IO[bytes], images: ImageFiles) -> None:
    rows = []
    offset = 0
    for stored in _decoded(images):
        pixels = stored.array
        height, width = pixels.shape[:2]
        content = pixels.tobytes()
        rows.append((offset, height, width, *stored.size, zlib.crc32(content), 0))
        target.write(content)
        offset += pixels.nbytes
    # The index, and pixels larger than one byte, start at a multiple of their size.
    start = -(-offset // 8) * 8
    target.write(bytes(start - offset))
    target.write(np.array(rows, INDEX).tobytes())
    target.write(FOOTER.pack(start, MAGIC))


def _decoded(images: ImageFiles) -> Iterator[Stored]:
    for start in range(0, len(images), IMAGES_AT_ONCE):
        positions = range(start, min(start + IMAGES_AT_ONCE, len(images)))
        yield from images.reader.pool.map(images.__getitem__, positions)


def size_of_cache(reader: ImageReader, sizes: NDArray[np.int64], training: bool) -> int:
    """The size in bytes of a file of images with these sizes (int64 [images, 2], width and height)."""
    channels = reader.model_spec.input_image_size[0]
    different, counts = np.unique(sizes, axis=0, return_counts=True)
    stored = np.array([reader.stored_size((int(w), int(h)), training) for w, h in different], np.int64).reshape(-1, 2)
    pixels = int(stored.prod(1) @ counts)
    return pixels * channels * reader.stored_dtype.itemsize + len(sizes) * INDEX.itemsize + FOOTER.size


def room_for_cache(folder: Path) -> int:
    """The bytes that `data.cache: auto` may use: half of the free disk or half of the memory, whichever is smaller."""
    disk = os.statvfs(folder)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(disk.f_bavail * disk.f_frsize, memory) // 2
