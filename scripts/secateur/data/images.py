"""Reading, resizing, cropping and scaling of images. Geometry and constants: tao-facts 1.6 and 1.7."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from secateur.errors import DataError
from secateur.spec import ModelSpec

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
CROP_PADDING = 32  # pixels by which the resized image exceeds a centre crop
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

CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
CAFFE_MEAN_GRAY = 117.3786
TORCH_MEAN_RGB = (0.485, 0.456, 0.406)
TORCH_MEAN_GRAY = 0.449
TORCH_STD = 0.224  # one value for all channels, as TAO's runtime has it

Pixels = NDArray[np.float32]


class UnreadableImageError(DataError):
    """One image file that cannot be used; its message is the reason alone."""


def read_image(path: Path | str, model: ModelSpec) -> Image.Image:
    """Open and decode an image in the mode that the network's input needs.

    EXIF orientation is applied. An alpha channel is dropped. The first frame of an animation counts.

    Returns:
        Mode `RGB` or `L`, 0..255; or mode `F`, 0..65535, when `input_image_depth` is 16.

    Raises:
        UnreadableImageError: the file is missing, no image, cut short, or above Pillow's pixel limit.
    """
    with decoded(path) as image:
        upright = ImageOps.exif_transpose(image)
    if model.input_image_depth == 16:
        return _sixteen_bit_gray(upright)
    return _eight_bit(upright, "RGB" if model.input_image_size[0] == 3 else "L")


@contextmanager
def decoded(source: Path | str | IO[bytes]) -> Iterator[Image.Image]:
    """An image, decoded to its last pixel. One with too many pixels is refused before it is decoded.

    Raises:
        UnreadableImageError: the file is missing, no image, cut short, or too large; also for what the block raises
            because of the image.
    """
    try:
        with Image.open(source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableImageError(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS:,}")
            image.load()
            yield image
    except UNREADABLE as error:
        raise UnreadableImageError(_reason_of(error), "replace or remove the file") from error


def _reason_of(error: Exception) -> str:
    """Why a decoder gave up, in a few words."""
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS:,} pixels"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "not an image that can be read" if "cannot identify image file" in text else text


def _eight_bit(image: Image.Image, mode: str) -> Image.Image:
    """Pillow would clip 16-bit gray at 255; scale it instead."""
    if image.mode in SIXTEEN_BIT_MODES:
        values = np.asarray(image, dtype=np.float32) / SIXTEEN_TO_EIGHT
        image = Image.fromarray(np.clip(np.round(values), 0, 255).astype(np.uint8))
    return image.convert(mode)


def _sixteen_bit_gray(image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN_BIT_MODES:
        return Image.fromarray(np.asarray(image, dtype=np.float32))
    return Image.fromarray(np.asarray(image.convert("L"), dtype=np.float32) * SIXTEEN_TO_EIGHT)


def to_array(image: Image.Image) -> Pixels:
    """float32 [height, width, channels], RGB order, in the image's own range."""
    array = np.asarray(image, dtype=np.float32)
    return array if array.ndim == 3 else array[:, :, np.newaxis]


def plain_resize(image: Image.Image, width: int, height: int, resampling: str) -> Image.Image:
    """Resize to exactly `width` x `height`; the aspect ratio is not kept."""
    return image if image.size == (width, height) else image.resize((width, height), RESAMPLING[resampling])


def center_crop(image: Image.Image, width: int, height: int, resampling: str) -> Image.Image:
    """Resize so that the image exceeds the target by the padding, then cut out the middle."""
    if image.size == (width, height):
        return image
    ratio = max((width + CROP_PADDING) / image.width, (height + CROP_PADDING) / image.height)
    whole = int(image.width * ratio), int(image.height * ratio)
    left = round(whole[0] / 2) - round(width / 2)
    top = round(whole[1] / 2) - round(height / 2)
    if whole[0] * whole[1] > MAX_PIXELS:
        # A line of pixels would become gigabytes of which a small part is shown: resample that part alone.
        across, down = image.width / whole[0], image.height / whole[1]
        box = (left * across, top * down, (left + width) * across, (top + height) * down)
        return image.resize((width, height), RESAMPLING[resampling], box=box)
    return image.resize(whole, RESAMPLING[resampling]).crop((left, top, left + width, top + height))


def fit(image: Image.Image, model: ModelSpec, crop: bool) -> Pixels:
    """An image as validation, evaluation and inference see it: float32 [height, width, channels]."""
    _, height, width = model.input_image_size
    shape = center_crop if crop else plain_resize
    return to_array(shape(image, width, height, model.resize_interpolation_method))


def preprocess(array: NDArray[np.generic], mode: str, mean: Sequence[float] | None = None, depth: int = 8) -> Pixels:
    """Scale pixels as the network was trained on.

    Args:
        array: [..., height, width, channels] with 1 or 3 channels in RGB order; 0..255, or 0..65535 at depth 16.
        mode: `caffe` (BGR, minus mean), `torch` (0..1, minus mean, over 0.224) or `tf` (-1..1).
        mean: caffe mode only; 3 values in BGR order or 1 for gray, in pixel units; default as in Caffe.
        depth: bits a channel, 8 or 16; 16 needs 1 channel.

    Returns:
        float32 of the same shape; BGR order in caffe mode.

    Raises:
        DataError: an unknown mode, or a mean that does not fit the channels.
    """
    pixels = np.asarray(array, dtype=np.float32)
    gray = pixels.shape[-1] == 1
    top = float(2**depth - 1)
    if mode == "torch":
        center = TORCH_MEAN_GRAY if gray else np.array(TORCH_MEAN_RGB, np.float32)
        return np.asarray((pixels / np.float32(top) - center) / np.float32(TORCH_STD), np.float32)
    if mode == "tf":
        return np.asarray(pixels / np.float32(top / 2) - np.float32(1), np.float32)
    if mode == "caffe":
        return np.asarray(pixels[..., ::-1] - caffe_mean(mean, gray, depth), np.float32)
    raise DataError(f"preprocess_mode '{mode}' is unknown", "use caffe, torch or tf")


def caffe_mean(mean: Sequence[float] | None, gray: bool, depth: int = 8) -> NDArray[np.float32]:
    """The mean that caffe mode subtracts, float32 [1] or [3] in BGR order. Raises as `preprocess` does."""
    if not mean:
        default = (CAFFE_MEAN_GRAY * 2 ** (depth - 8),) if gray else CAFFE_MEAN_BGR
        return np.array(default, np.float32)
    if len(mean) != (1 if gray else 3):
        raise DataError(
            f"data.image_mean has {len(mean)} values for {1 if gray else 3} channels", "give one value a channel"
        )
    return np.array(mean, np.float32)
