"""Turn a decoded image into network input. Geometry and scaling are defined only here.

Training, validation, evaluation, inference and pruning call these functions. `preprocessing.json` in an export
describes them for other programs.

See docs/decisions/torch-preprocessing.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from secateur.data.images import RESAMPLING, Look, Size, no_look, read_resized
from secateur.errors import DataError
from secateur.spec import DataSpec, ModelSpec

CROP_PADDING = 32  # pixels by which the resized image is larger than a centre crop
MAX_RESIZED = 89_478_485  # pixels of an image that is resized before its middle is cut out
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
CAFFE_MEAN_GRAY = 117.3786
TORCH_MEAN_RGB = (0.485, 0.456, 0.406)
TORCH_MEAN_GRAY = 0.449
TORCH_STD = 0.224  # one value for all channels, as in TAO's runtime

Pixels = NDArray[np.float32]


def to_array(image: Image.Image) -> Pixels:
    """The pixels as float32 [height, width, channels], in RGB order and in the image's own range."""
    array = np.asarray(image, dtype=np.float32)
    return array if array.ndim == 3 else array[:, :, np.newaxis]


def read_fitted(
    path: Path | str, model_spec: ModelSpec, data_spec: DataSpec, crop: bool, look: Look = no_look
) -> tuple[Image.Image, Size]:
    """An image file as validation, evaluation and inference use it, before scaling.

    Args:
        path: of the file.
        model_spec: the network's input.
        data_spec: background, range of values, and limit of pixels.
        crop: `augment.enable_center_crop`.
        look: as in `read_resized`.

    Returns:
        The image in the network's size, and its size in the file.

    Raises:
        UnreadableImageError: as `read_resized`.
    """
    _, height, width = model_spec.input_image_size
    if not crop:
        return read_resized(path, model_spec, data_spec, lambda size: (width, height), look)
    image, size = read_resized(path, model_spec, data_spec, lambda size: center_size(size, (width, height)), look)
    return center_crop(image, width, height, model_spec.resize_interpolation_method, size), size


def plain_resize(image: Image.Image, width: int, height: int, resampling: str) -> Image.Image:
    """Resize to exactly `width` x `height`; the aspect ratio is not kept."""
    return image if image.size == (width, height) else image.resize((width, height), RESAMPLING[resampling])


def center_size(size: Size, target: Size) -> Size:
    """The size to which an image is resized before its middle is cut out: the target plus the padding.

    An image of the target's size is not resized, nor is one of extreme shape that would need gigabytes.
    """
    whole = _padded(size, target)
    return size if size == target or whole[0] * whole[1] > MAX_RESIZED else whole


def _padded(size: Size, target: Size) -> Size:
    ratio = max((target[0] + CROP_PADDING) / size[0], (target[1] + CROP_PADDING) / size[1])
    return int(size[0] * ratio), int(size[1] * ratio)


def center_crop(image: Image.Image, width: int, height: int, resampling: str, size: Size | None = None) -> Image.Image:
    """Resize to the target plus the padding, then cut out the middle.

    Args:
        image: in its own size, or in `center_size`.
        width, height: of the result.
        resampling: `bilinear` or `bicubic`.
        size: of the image before it was resized; absent: the size of `image`.
    """
    size = size or image.size
    if size == (width, height):
        return image
    whole = _padded(size, (width, height))
    left = round(whole[0] / 2) - round(width / 2)
    top = round(whole[1] / 2) - round(height / 2)
    if whole[0] * whole[1] > MAX_RESIZED:
        # A very long, thin image: only the part that is shown is resampled.
        across, down = size[0] / whole[0], size[1] / whole[1]
        box = (left * across, top * down, (left + width) * across, (top + height) * down)
        return image.resize((width, height), RESAMPLING[resampling], box=box)
    return plain_resize(image, *whole, resampling).crop((left, top, left + width, top + height))


def preprocess(array: NDArray[np.generic], mode: str, mean: Sequence[float] | None = None, depth: int = 8) -> Pixels:
    """Scale pixels as in the training of the network.

    Args:
        array: [..., height, width, channels] with 1 or 3 channels in RGB order; 0..255, or 0..65535 at depth 16.
        mode: `caffe` (BGR, minus mean), `torch` (0..1, minus mean, over 0.224) or `tf` (-1..1).
        mean: for caffe mode only; 3 values in BGR order or 1 for gray, in pixel units; default as in Caffe.
        depth: bits per channel, 8 or 16; 16 needs 1 channel.

    Returns:
        float32 of the same shape; BGR order in caffe mode.

    Raises:
        DataError: the mode is unknown, or the mean does not fit the channels.
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
    raise DataError(f"unknown preprocess_mode '{mode}'", "use caffe, torch or tf")


def caffe_mean(mean: Sequence[float] | None, gray: bool, depth: int = 8) -> NDArray[np.float32]:
    """The mean that caffe mode subtracts, float32 [1] or [3] in BGR order. Raises as `preprocess` does."""
    if not mean:
        default = (CAFFE_MEAN_GRAY * 2 ** (depth - 8),) if gray else CAFFE_MEAN_BGR
        return np.array(default, np.float32)
    if len(mean) != (1 if gray else 3):
        raise DataError(
            f"data.image_mean has {len(mean)} values for {1 if gray else 3} channels", "give one value per channel"
        )
    return np.array(mean, np.float32)
