"""Augmentation in training. All random numbers come from one generator: docs/decisions/crops-and-colours.md."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from secateur.data.images import RESAMPLING, Size
from secateur.data.preprocessing import Pixels, plain_resize, to_array
from secateur.spec import AugmentSpec, ModelSpec

CROP_SCALE = (0.45, 1.0)  # side of the crop divided by side of the resized image
HUE_DEGREES = 25.0
SATURATION_SHIFT = 0.2
CONTRAST_SHIFT = 0.1


def training_size(size: Size, model_spec: ModelSpec, augment_spec: AugmentSpec) -> Size:
    """The size to which an image of `size` is resized before all random steps; a cache stores this size.

    Without random crops it is the target. With random crops it is the largest size that a crop can need, but not larger
    than the image. Crops are cut out of these pixels.
    """
    _, height, width = model_spec.input_image_size
    target = (width, height)
    if not augment_spec.enable_random_crop or size == target:
        return target
    ratio = max(width / CROP_SCALE[0] / size[0], height / CROP_SCALE[0] / size[1])
    return size if ratio >= 1 else (math.ceil(size[0] * ratio), math.ceil(size[1] * ratio))


def augment(
    image: Image.Image,
    model_spec: ModelSpec,
    augment_spec: AugmentSpec,
    rng: np.random.Generator,
    size: Size | None = None,
) -> Pixels:
    """One training sample: float32 [height, width, channels] in the range of `image`.

    Args:
        image: in its own size, or in `training_size`.
        model, options: sections of the spec.
        rng: the generator of all random numbers.
        size: of the image before it was resized; absent: the size of `image`.
    """
    _, height, width = model_spec.input_image_size
    if augment_spec.enable_random_crop:
        shaped = random_crop(image, width, height, model_spec.resize_interpolation_method, rng, size)
    else:
        shaped = plain_resize(image, width, height, model_spec.resize_interpolation_method)
    pixels = to_array(shaped)
    if augment_spec.enable_color_augmentation and pixels.shape[-1] == 3:
        pixels = color_shift(pixels / np.float32(255), rng) * np.float32(255)
    if not augment_spec.disable_horizontal_flip and rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    return pixels


def random_crop(
    image: Image.Image,
    width: int,
    height: int,
    resampling: str,
    rng: np.random.Generator,
    size: Size | None = None,
) -> Image.Image:
    """Resize by a random factor, then cut out the target at a random place.

    An image that already has the target's size is not changed. TAO truncates the resized size, which
    can fall one pixel short of the target; here it is at least the target. `size` as in `augment`.
    """
    own_width, own_height = size or image.size
    if (own_width, own_height) == (width, height):
        return image
    scale = rng.uniform(*CROP_SCALE)
    ratio = max(width / scale / own_width, height / scale / own_height)
    whole = max(width, int(own_width * ratio)), max(height, int(own_height * ratio))
    left, top = rng.integers(0, whole[0] - width + 1), rng.integers(0, whole[1] - height + 1)
    # Only the part of the image that the crop shows is resampled; the pixels are the same.
    box = (
        left * image.width / whole[0],
        top * image.height / whole[1],
        (left + width) * image.width / whole[0],
        (top + height) * image.height / whole[1],
    )
    return image.resize((width, height), RESAMPLING[resampling], box=box)


def color_shift(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Random hue, saturation and contrast.

    Args:
        pixels: float32 [height, width, 3], RGB, 0..1.

    Returns:
        The same shape and range.
    """
    hue, saturation = rng.uniform(-HUE_DEGREES, HUE_DEGREES), rng.uniform(-SATURATION_SHIFT, SATURATION_SHIFT)
    contrast = np.float32(1 + rng.uniform(-CONTRAST_SHIFT, CONTRAST_SHIFT))
    hsv: Pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV), np.float32)
    # OpenCV wraps what exceeds 360 degrees, but not what is below 0.
    hsv[..., 0] += np.float32(hue % 360)
    hsv[..., 1] = np.clip(hsv[..., 1] + np.float32(saturation), 0, 1)
    shifted: Pixels = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.float32)
    shifted -= np.float32(0.5)
    shifted *= contrast
    shifted += np.float32(0.5)
    return np.clip(shifted, 0, 1, out=shifted)


def mixup(
    images: Pixels, labels: NDArray[np.float32], alpha: float, rng: np.random.Generator
) -> tuple[Pixels, NDArray[np.float32]]:
    """Mix a batch with its own reverse, one weight per sample (Zhang et al., arXiv:1710.09412).

    Args:
        images: float32 [batch, height, width, channels].
        labels: one-hot float32 [batch, classes].
        alpha: parameter of Beta(alpha, alpha); 0 returns the batch unchanged.
    """
    if not alpha:
        return images, labels
    draws = rng.beta(alpha, alpha, size=len(images))
    weights = np.maximum(draws, 1 - draws).astype(np.float32)
    by_image, by_label = weights[:, None, None, None], weights[:, None]
    return (
        images * by_image + images[::-1] * (1 - by_image),
        labels * by_label + labels[::-1] * (1 - by_label),
    )
