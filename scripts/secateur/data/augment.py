"""Augmentation while training (tao-facts 1.7 and 1.8), every draw from the generator that is given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from secateur.data.images import RESAMPLING, Pixels, plain_resize, to_array
from secateur.spec import AugmentSpec, ModelSpec

CROP_SCALE = (0.45, 1.0)  # side of the crop over side of the resized image
HUE_DEGREES = 25.0
SATURATION_SHIFT = 0.2
CONTRAST_SHIFT = 0.1


def augment(image: Image.Image, model: ModelSpec, options: AugmentSpec, rng: np.random.Generator) -> Pixels:
    """One training sample: float32 [height, width, channels] in the range of `image`."""
    _, height, width = model.input_image_size
    shape = random_crop if options.enable_random_crop else _no_crop
    pixels = to_array(shape(image, width, height, model.resize_interpolation_method, rng))
    if options.enable_color_augmentation and pixels.shape[-1] == 3:
        pixels = color_shift(pixels / np.float32(255), rng) * np.float32(255)
    if not options.disable_horizontal_flip and rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    return pixels


def _no_crop(image: Image.Image, width: int, height: int, resampling: str, _: np.random.Generator) -> Image.Image:
    return plain_resize(image, width, height, resampling)


def random_crop(image: Image.Image, width: int, height: int, resampling: str, rng: np.random.Generator) -> Image.Image:
    """Resize by a random factor, then cut the target out of a random place.

    An image that has the target's size already is returned as it is. TAO truncates the resized size, which
    can fall one pixel short of the target; here it is at least the target.
    """
    if image.size == (width, height):
        return image
    scale = rng.uniform(*CROP_SCALE)
    ratio = max(width / scale / image.width, height / scale / image.height)
    size = max(width, int(image.width * ratio)), max(height, int(image.height * ratio))
    left, top = rng.integers(0, size[0] - width + 1), rng.integers(0, size[1] - height + 1)
    # Only the part of the source that the crop shows is resampled; the pixels are the same.
    box = (
        left * image.width / size[0],
        top * image.height / size[1],
        (left + width) * image.width / size[0],
        (top + height) * image.height / size[1],
    )
    return image.resize((width, height), RESAMPLING[resampling], box=box)


def color_shift(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Random hue, saturation and contrast.

    Args:
        pixels: float32 [height, width, 3], RGB, 0..1.

    Returns:
        The same shape and range.
    """
    hue, saturation = hue_and_saturation(pixels)
    hue = (hue + rng.uniform(-HUE_DEGREES, HUE_DEGREES)) % 360
    saturation = np.clip(saturation + rng.uniform(-SATURATION_SHIFT, SATURATION_SHIFT), 0, 1)
    shifted = from_hsv(hue, saturation, pixels.max(axis=-1))
    factor = 1 + rng.uniform(-CONTRAST_SHIFT, CONTRAST_SHIFT)
    return np.asarray(np.clip((shifted - 0.5) * factor + 0.5, 0, 1), np.float32)


def hue_and_saturation(pixels: Pixels) -> tuple[Pixels, Pixels]:
    """Hue in degrees, 0..360, and saturation, 0..1, of RGB pixels in 0..1; each [height, width]."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    value = pixels.max(axis=-1)
    spread = value - pixels.min(axis=-1)
    divisor = np.where(spread > 0, spread, 1)
    hue = np.where(
        value == red,
        (green - blue) / divisor % 6,
        np.where(value == green, (blue - red) / divisor + 2, (red - green) / divisor + 4),
    )
    return hue * 60, spread / np.where(value > 0, value, 1)


def from_hsv(hue: Pixels, saturation: Pixels, value: Pixels) -> Pixels:
    """RGB pixels [height, width, 3], 0..1, by the branch-free form of the HSV conversion."""
    position = (np.array([5, 3, 1], np.float32) + hue[..., np.newaxis] / 60) % 6
    share = np.clip(np.minimum(position, 4 - position), 0, 1)
    return np.asarray(value[..., np.newaxis] * (1 - saturation[..., np.newaxis] * share), np.float32)


def mixup(
    images: Pixels, labels: NDArray[np.float32], alpha: float, rng: np.random.Generator
) -> tuple[Pixels, NDArray[np.float32]]:
    """Mix a batch with its own reverse, one weight a sample (Zhang et al., arXiv:1710.09412).

    Args:
        images: float32 [batch, height, width, channels].
        labels: one-hot float32 [batch, classes].
        alpha: parameter of Beta(alpha, alpha); 0 returns the batch as it is.
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
