"""Read image files: mode, orientation, size; large JPEGs at a smaller scale. Every step reads images through here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from secateur.data.addresses import is_url
from secateur.data.filesystem import files_below
from secateur.data.image_opening import SUFFIXES, Size, UnreadableImageError, least_scale, opened, orientation
from secateur.data.left_out import LeftOut, suffix_reason
from secateur.data.pixel_values import eight_bit, sixteen_bit_gray
from secateur.errors import DataError
from secateur.spec import DataSpec, ModelSpec

__all__ = [
    "RESAMPLING",
    "Size",
    "UnreadableImageError",
    "decode",
    "is_image",
    "read_image",
    "read_resized",
    "read_shown",
]

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

# Orientation -> the operation that makes the image upright (EXIF 2.32, tag 0x0112).
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
# Receives each image as it is in its file: decoded, a large JPEG at a smaller scale.
Look = Callable[[Image.Image], None]
# A JPEG is decoded at 1/2, 1/4 or 1/8 if each side then still has this many times the wanted pixels. Pillow's own
# `thumbnail` uses the same factor; the result hardly differs.
REDUCING_GAP = 2


def no_look(image: Image.Image) -> None:
    """Look at nothing."""


def read_image(path: Path | str, model_spec: ModelSpec, data_spec: DataSpec | None = None) -> Image.Image:
    """As `read_resized`, in the image's own size. Without `data_spec` its defaults count."""
    return read_resized(path, model_spec, data_spec or DataSpec(), lambda size: size)[0]


def read_resized(
    path: Path | str,
    model_spec: ModelSpec,
    data_spec: DataSpec,
    wanted: Callable[[Size], Size],
    look: Look = no_look,
) -> tuple[Image.Image, Size]:
    """Open, decode and resize an image in the mode that the network's input needs.

    EXIF orientation is applied; metadata that cannot be read is ignored. A transparent image is laid on
    `data.background`, and deep values are scaled by `data.value_range`. The first frame of an animation counts.

    Args:
        path: of the file.
        model_spec: the input's channels and depth, and the resampling.
        data_spec: background, range of values, and limit of pixels.
        wanted: function from the size of the upright image to the size after resizing.
        look: receives the decoded image, before it is scaled and resized.

    Returns:
        The image, in mode `RGB` or `L`, 0..255; or in mode `F`, 0..65535, if `input_image_depth` is 16. And the size of
        the upright image in the file.

    Raises:
        UnreadableImageError: the file is missing, is not an image, is cut short, or exceeds `data.max_pixels`.
    """
    resampling = RESAMPLING[model_spec.resize_interpolation_method]
    if model_spec.input_image_depth == 16:
        return _read(path, data_spec, wanted, partial(sixteen_bit_gray, data_spec=data_spec), resampling, look)
    mode = "RGB" if model_spec.input_image_size[0] == 3 else "L"
    return _read(path, data_spec, wanted, partial(eight_bit, mode=mode, data_spec=data_spec), resampling, look)


def read_shown(path: Path | str, data_spec: DataSpec, wanted: Callable[[Size], Size]) -> Image.Image:
    """An image for a page, in mode `RGB`: as `read_resized`, for a network with three channels of 8 bits."""
    in_mode = partial(eight_bit, mode="RGB", data_spec=data_spec)
    return _read(path, data_spec, wanted, in_mode, Image.Resampling.BICUBIC)[0]


def _read(
    path: Path | str,
    data_spec: DataSpec,
    wanted: Callable[[Size], Size],
    in_mode: Callable[[Image.Image], Image.Image],
    resampling: Image.Resampling,
    look: Look = no_look,
) -> tuple[Image.Image, Size]:
    with opened(path, data_spec.max_pixels) as image:
        if not isinstance(image, JpegImageFile):
            image.load()
        turn, _ = orientation(image)
        size = _turned(image.size, turn)
        target = _turned(wanted(size), turn)
        box = decode(image, data_spec.max_pixels, target)
        look(image)
        plain = in_mode(image)
        if plain.size != target or box:
            plain = plain.resize(target, resampling, box=box)
        return (plain.transpose(TURNS[turn]) if turn in TURNS else plain), size


def _turned(size: Size, turn: int) -> Size:
    return (size[1], size[0]) if turn in LYING else size


def decode(image: Image.Image, max_pixels: int, target: Size | None = None) -> tuple[float, float, float, float] | None:
    """Decode the pixels of an opened image: of a JPEG at a smaller scale if that is enough, or if it is very large.

    Args:
        image: without decoded pixels.
        max_pixels: `data.max_pixels`.
        target: the size to which it will be resized; None: all pixels are wanted.

    Returns:
        The part of the decoded pixels that is exactly the image; None if they are all pixels of the file.
    """
    whole = image.size
    box = None
    if isinstance(image, JpegImageFile):
        scale = least_scale(whole, max_pixels)
        gap = whole if target in (None, whole) else (REDUCING_GAP * target[0], REDUCING_GAP * target[1])
        least = (max(1, min(gap[0], whole[0] // scale)), max(1, min(gap[1], whole[1] // scale)))
        drafted = image.draft(None, least)
        box = drafted[1] if drafted and image.size != whole else None
    image.load()
    return box


def is_image(path: str) -> bool:
    """Whether a file is an image, by its suffix."""
    return os.path.splitext(path)[1].lower() in SUFFIXES


def image_files(
    folder: str, left_out: LeftOut, key: str = "inference.image_dir", follow_links: bool = True
) -> list[str]:
    """The image files below a folder or a URL, sorted; or the one file that `folder` names.

    Args:
        folder: folder, URL or file.
        left_out: receives the other files.
        key: the spec key that names it, for errors.
        follow_links: whether links to folders are followed.

    Raises:
        DataError: the folder is missing, cannot be read, or has no images.
    """
    if os.path.isfile(folder):
        return [folder]
    if not is_url(folder) and not os.path.isdir(folder):
        raise DataError(f"{key}: no such folder: {folder}", f"check the path in {key}")
    try:
        found = images_of(files_below(folder, left_out, follow_links), left_out)
    except FileNotFoundError as error:
        raise DataError(f"{key}: {error}", f"check the path in {key}") from error
    if not found:
        there = f"; left out there: {left_out.in_words()}" if left_out.total else ""
        raise DataError(f"{key}: no images in {folder}{there}", f"check the path in {key}")
    return sorted(found)


def images_of(paths: Iterable[str], left_out: LeftOut) -> list[str]:
    """The images among files, by their suffix; `left_out` receives the other files."""
    found = []
    for path in paths:
        if is_image(path):
            found.append(path)
        else:
            left_out.add(suffix_reason(path), path)
    return found
