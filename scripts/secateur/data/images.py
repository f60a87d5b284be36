"""Decode image files: modes, orientation, limits; large JPEGs at a smaller scale."""

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

# Pillow's own limit, above which it warns: a quarter of a gigabyte in colour.
MAX_PIXELS = 89_478_485
# Exceptions of Pillow's decoders for bytes that are not an image.
UNREADABLE = (
    OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, IndexError, OverflowError, AttributeError,
    struct.error, zlib.error, MemoryError, RecursionError, Image.DecompressionBombError,
)  # fmt: skip

# Orientation -> the operation that makes the image upright (EXIF 2.32, tag 0x0112).
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
# A JPEG is decoded at 1/2, 1/4 or 1/8 if each side then still has this many times the wanted pixels. Pillow's own
# `thumbnail` uses the same factor; the result hardly differs.
REDUCING_GAP = 2

Size = tuple[int, int]  # width, height


class UnreadableImageError(DataError):
    """An image file cannot be used; the message is the reason only."""


def read_image(path: Path | str, model_spec: ModelSpec) -> Image.Image:
    """Open and decode an image in the mode that the network's input needs, as `read_resized`, in its own size."""
    return read_resized(path, model_spec, lambda size: size)[0]


def read_resized(path: Path | str, model_spec: ModelSpec, wanted: Callable[[Size], Size]) -> tuple[Image.Image, Size]:
    """Open, decode and resize an image in the mode that the network's input needs.

    EXIF orientation is applied. An alpha channel is dropped. The first frame of an animation counts.

    Args:
        path: of the file.
        model_spec: the input's channels and depth, and the resampling.
        wanted: function from the size of the upright image to the size after resizing.

    Returns:
        The image, in mode `RGB` or `L`, 0..255; or in mode `F`, 0..65535, if `input_image_depth` is 16. And the size of
        the upright image in the file.

    Raises:
        UnreadableImageError: the file is missing, is not an image, is cut short, or exceeds Pillow's pixel limit.
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
    """Let Pillow decode a JPEG at a smaller scale. Returns the exact part of the decoded pixels that is the image."""
    whole = image.size
    if not isinstance(image, JpegImageFile) or whole == target:
        return None
    drafted = image.draft(None, (REDUCING_GAP * target[0], REDUCING_GAP * target[1]))
    return drafted[1] if drafted and image.size != whole else None


@contextmanager
def decoded(file: Path | str | IO[bytes]) -> Iterator[Image.Image]:
    """Open an image and decode all its pixels. Raises as `opened`."""
    with opened(file) as image:
        image.load()
        yield image


@contextmanager
def opened(file: Path | str | IO[bytes]) -> Iterator[Image.Image]:
    """Open an image without decoding its pixels. An image with too many pixels is refused.

    Raises:
        UnreadableImageError: the file is missing, is not an image, is cut short or is too large; also if the block
            fails because of the image.
    """
    if isinstance(file, str) and is_url(file):
        file = _fetched(file)
    try:
        with Image.open(file) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableImageError(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS:,}")
            yield image
    except UNREADABLE as error:
        raise UnreadableImageError(_reason_of(error), "replace or remove the file") from error


def _fetched(url: str) -> IO[bytes]:
    """Read a remote file. Raises UnreadableImageError if it does not exist, DataError if its filesystem fails."""
    try:
        return io.BytesIO(read_bytes(url))
    except FileNotFoundError as error:
        raise UnreadableImageError("No such file or directory", "replace or remove the file") from error


def _reason_of(error: Exception) -> str:
    """The reason why a decoder failed, in a few words."""
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS:,} pixels"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "not an image that can be read" if "cannot identify image file" in text else text


def is_image(path: str) -> bool:
    """Whether a file is an image, by its suffix."""
    return os.path.splitext(path)[1].lower() in SUFFIXES


def _in_mode(image: Image.Image, model_spec: ModelSpec) -> Image.Image:
    if model_spec.input_image_depth == 16:
        return _sixteen_bit_gray(image)
    return eight_bit(image, "RGB" if model_spec.input_image_size[0] == 3 else "L")


def eight_bit(image: Image.Image, mode: str) -> Image.Image:
    """The image in mode `RGB` or `L`. 16-bit gray is scaled, since Pillow would clip it at 255."""
    if image.mode in SIXTEEN_BIT_MODES:
        values = np.asarray(image, dtype=np.float32) / SIXTEEN_TO_EIGHT
        image = Image.fromarray(np.clip(np.round(values), 0, 255).astype(np.uint8))
    return image if image.mode == mode else image.convert(mode)


def _sixteen_bit_gray(image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN_BIT_MODES:
        return Image.fromarray(np.asarray(image, dtype=np.float32))
    return Image.fromarray(np.asarray(image.convert("L"), dtype=np.float32) * SIXTEEN_TO_EIGHT)


def image_files(folder: str, key: str = "inference.image_dir") -> list[str]:
    """The image files below a folder or a URL, sorted; or the one file that `folder` names.

    Args:
        folder: folder, URL or file.
        key: the spec key that names it, for errors.

    Raises:
        DataError: the folder is missing or has no images.
    """
    if os.path.isfile(folder):
        return [folder]
    if not is_url(folder) and not os.path.isdir(folder):
        raise DataError(f"{key}: no such folder: {folder}", f"check the path in {key}")
    try:
        found = [path for path in files_below(folder) if is_image(path)]
    except FileNotFoundError as error:
        raise DataError(f"{key}: {error}", f"check the path in {key}") from error
    if not found:
        raise DataError(f"{key}: no images in {folder}", f"check the path in {key}")
    return sorted(found)
