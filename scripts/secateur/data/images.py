"""Decoding of image files: modes, orientation, limits; large JPEGs at a smaller scale."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from secateur.data.filesystem import files_below, is_url, read_bytes
from secateur.errors import DataError
from secateur.spec import ModelSpec

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
SIXTEEN_TO_EIGHT = 257  # 65535 / 255

# Pillow's own limit, beyond which it warns: a quarter of a gigabyte in colour.
MAX_PIXELS = 89_478_485
# What Pillow's decoders raise for bytes that are no image.
UNREADABLE = (
    OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, IndexError, OverflowError, AttributeError,
    struct.error, zlib.error, MemoryError, RecursionError, Image.DecompressionBombError,
)  # fmt: skip

# Orientation -> what makes the image upright (EXIF 2.32, tag 0x0112).
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LYING = (5, 6, 7, 8)
# A JPEG is decoded at 1/2, 1/4 or 1/8 when that leaves this many times the pixels a side that are asked for: after
# Pillow's own `thumbnail`, whose result then hardly differs.
REDUCING_GAP = 2

Size = tuple[int, int]  # width, height


class UnreadableImageError(DataError):
    """One image file that cannot be used; its message is the reason alone."""


def read_image(path: Path | str, model_spec: ModelSpec) -> Image.Image:
    """Open and decode an image in the mode that the network's input needs. As `read_resized`, in its own size."""
    return read_resized(path, model_spec, lambda size: size)[0]


def read_resized(path: Path | str, model_spec: ModelSpec, wanted: Callable[[Size], Size]) -> tuple[Image.Image, Size]:
    """Open, decode and resize an image in the mode that the network's input needs.

    EXIF orientation is applied. An alpha channel is dropped. The first frame of an animation counts.

    Args:
        path: of the file.
        model_spec: the input's channels and depth, and the resampling.
        wanted: from the size of the upright image to the size it is resized to.

    Returns:
        The image, mode `RGB` or `L`, 0..255; or mode `F`, 0..65535, when `input_image_depth` is 16. And the size that
        the upright image has in the file.

    Raises:
        UnreadableImageError: the file is missing, no image, cut short, or above Pillow's pixel limit.
    """
    with opened(path) as image:
        if not isinstance(image, JpegImageFile):
            image.load()
        turn = image.getexif().get(ORIENTATION)
        lying = turn in LYING
        size = _turned(image.size, lying)
        target = _turned(wanted(size), lying)
        box = _draft(image, target)
        image.load()
        plain = _in_mode(image, model_spec)
        if plain.size != target or box:
            plain = plain.resize(target, RESAMPLING[model_spec.resize_interpolation_method], box=box)
        return (plain.transpose(TURNS[turn]) if turn in TURNS else plain), size


def _turned(size: Size, lying: bool) -> Size:
    return (size[1], size[0]) if lying else size


def _draft(image: Image.Image, target: Size) -> tuple[float, float, float, float] | None:
    """Have a JPEG decoded at a smaller scale; returns the part of the decoded pixels that is the image, unrounded."""
    whole = image.size
    if not isinstance(image, JpegImageFile) or whole == target:
        return None
    drafted = image.draft(None, (REDUCING_GAP * target[0], REDUCING_GAP * target[1]))
    return drafted[1] if drafted and image.size != whole else None


@contextmanager
def decoded(source: Path | str | IO[bytes]) -> Iterator[Image.Image]:
    """An image, decoded to its last pixel. Raises as `opened`."""
    with opened(source) as image:
        image.load()
        yield image


@contextmanager
def opened(source: Path | str | IO[bytes]) -> Iterator[Image.Image]:
    """An image whose pixels are not read yet. One with too many is refused.

    Raises:
        UnreadableImageError: the file is missing, no image, cut short, or too large; also for what the block raises
            because of the image.
    """
    if isinstance(source, str) and is_url(source):
        source = _fetched(source)
    try:
        with Image.open(source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableImageError(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS:,}")
            yield image
    except UNREADABLE as error:
        raise UnreadableImageError(_reason_of(error), "replace or remove the file") from error


def _fetched(url: str) -> IO[bytes]:
    """Raises UnreadableImageError where there is no such file, DataError where its filesystem fails."""
    try:
        return io.BytesIO(read_bytes(url))
    except FileNotFoundError as error:
        raise UnreadableImageError("No such file or directory", "replace or remove the file") from error


def _reason_of(error: Exception) -> str:
    """Why a decoder gave up, in a few words."""
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS:,} pixels"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "not an image that can be read" if "cannot identify image file" in text else text


def is_image(path: str) -> bool:
    """By its suffix."""
    return os.path.splitext(path)[1].lower() in SUFFIXES


def _in_mode(image: Image.Image, model_spec: ModelSpec) -> Image.Image:
    if model_spec.input_image_depth == 16:
        return _sixteen_bit_gray(image)
    return eight_bit(image, "RGB" if model_spec.input_image_size[0] == 3 else "L")


def eight_bit(image: Image.Image, mode: str) -> Image.Image:
    """In mode `RGB` or `L`. Pillow would clip 16-bit gray at 255; it is scaled instead."""
    if image.mode in SIXTEEN_BIT_MODES:
        values = np.asarray(image, dtype=np.float32) / SIXTEEN_TO_EIGHT
        image = Image.fromarray(np.clip(np.round(values), 0, 255).astype(np.uint8))
    return image if image.mode == mode else image.convert(mode)


def _sixteen_bit_gray(image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN_BIT_MODES:
        return Image.fromarray(np.asarray(image, dtype=np.float32))
    return Image.fromarray(np.asarray(image.convert("L"), dtype=np.float32) * SIXTEEN_TO_EIGHT)


def image_files(folder: str, key: str = "inference.image_dir") -> list[str]:
    """Image files below a folder or a URL, sorted; or the one file that `folder` names.

    Args:
        folder: where.
        key: of the spec that says so, for errors.

    Raises:
        DataError: it is missing or holds no images.
    """
    if os.path.isfile(folder):
        return [folder]
    if not is_url(folder) and not os.path.isdir(folder):
        raise DataError(f"{key}: no such folder: {folder}", f"mend {key} in the spec")
    try:
        found = [path for path in files_below(folder) if is_image(path)]
    except FileNotFoundError as error:
        raise DataError(f"{key}: {error}", f"mend {key} in the spec") from error
    if not found:
        raise DataError(f"{key}: no images in {folder}", f"mend {key} in the spec")
    return sorted(found)
