"""Turn a decoded image of any mode into 8 or 16 bits per channel: ranges of deep values, and transparency.

Every step reads images through these functions. A deep image has more than 8 bits per channel: integers of 16 or 32
bits, or floats.

See docs/decisions/pixel-values.md.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from secateur.spec import DataSpec

# The first letter of the mode of a deep image -> the values that are black and white if `data.value_range` is `auto`.
AUTO_RANGES: dict[str, tuple[float, float]] = {"I": (0.0, 65535.0), "F": (0.0, 1.0)}
EIGHT_BIT_TOP, SIXTEEN_BIT_TOP = 255.0, 65535.0
SIXTEEN_TO_EIGHT = 257  # 65535 / 255
OPAQUE = 255
# Gray values of the background; a checkerboard has squares of two, as image editors show them.
BACKGROUNDS = {"white": (255, 255), "black": (0, 0), "checker": (255, 204)}
CHECKER_SIDE = 8  # pixels of the file


def is_deep(image: Image.Image) -> bool:
    """Whether the image has more than 8 bits per channel. Pillow has such images with one channel only."""
    return image.mode[0] in AUTO_RANGES


def value_range(mode: str, data_spec: DataSpec) -> tuple[float, float]:
    """The values of a deep image of this mode that become black and white."""
    return AUTO_RANGES[mode[0]] if data_spec.value_range == "auto" else data_spec.value_range


def eight_bit(image: Image.Image, mode: str, data_spec: DataSpec) -> Image.Image:
    """The image in mode `RGB` or `L`, 0..255, without transparency. Deep values are scaled, since Pillow clips them."""
    if is_deep(image):
        return _in(Image.fromarray(np.round(_scaled(image, data_spec, EIGHT_BIT_TOP)).astype(np.uint8)), mode)
    return _in(_on_background(image, data_spec.background), mode)


def sixteen_bit_gray(image: Image.Image, data_spec: DataSpec) -> Image.Image:
    """The image in mode `F`, 0..65535, without transparency."""
    if is_deep(image):
        return Image.fromarray(_scaled(image, data_spec, SIXTEEN_BIT_TOP))
    gray = eight_bit(image, "L", data_spec)
    return Image.fromarray(np.asarray(gray, dtype=np.float32) * SIXTEEN_TO_EIGHT)


def _scaled(image: Image.Image, data_spec: DataSpec, top: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Deep values as float32 [height, width], 0..`top`. Values out of range are clipped; NaN is black."""
    low, high = value_range(image.mode, data_spec)
    values = np.array(image, dtype=np.float32)
    values -= np.float32(low)
    values *= np.float32(top / (high - low))
    np.nan_to_num(values, copy=False, nan=0.0)
    return np.clip(values, 0, np.float32(top), out=values)


def _in(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode:
        return image
    # Pillow converts LAB to colour only.
    return (image.convert("RGB") if image.mode == "LAB" else image).convert(mode)


def transparency_of(image: Image.Image) -> Image.Image | None:
    """The alpha channel, in mode `L`; None if every pixel is opaque. Deep images have none."""
    whole = _with_alpha(image)
    return whole.getchannel("A") if whole is not None else None


def _with_alpha(image: Image.Image) -> Image.Image | None:
    """The image in mode `RGBA`; None if every pixel is opaque."""
    if is_deep(image) or not image.has_transparency_data:
        return None
    whole = image.convert("RGBA")
    opaque = whole.getchannel("A").histogram()[OPAQUE]
    return whole if opaque < whole.width * whole.height else None


def _on_background(image: Image.Image, background: str) -> Image.Image:
    """A transparent image laid on a background; any other as it is, and every one if the background is `none`."""
    whole = None if background == "none" else _with_alpha(image)
    if whole is None:
        return image
    laid = _backdrop(image.size, *BACKGROUNDS[background]).convert("RGB")
    laid.paste(whole.convert("RGB"), mask=whole.getchannel("A"))
    return laid


def _backdrop(size: tuple[int, int], one: int, other: int) -> Image.Image:
    if one == other:
        return Image.new("L", size, one)
    across, down = (np.arange(side) // CHECKER_SIDE % 2 for side in size)
    return Image.fromarray(np.where(across ^ down[:, np.newaxis], other, one).astype(np.uint8))
