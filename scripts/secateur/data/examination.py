"""Examine image files: decode every pixel, collect facts, and compute digests."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from secateur.data.filesystem import read_bytes
from secateur.data.image_opening import UnreadableImageError, opened, orientation
from secateur.data.images import decode
from secateur.data.pixel_values import eight_bit, is_deep, transparency_of
from secateur.data.similar import NO_HASH, perceptual_hash
from secateur.spec import DataSpec

# Images that are examined at a time: limits the memory of waiting images.
IMAGES_AT_ONCE = 1024
# Share of the pixels that may be brighter or darker than the rest: a broken pixel of a camera, a thin line.
FEW = 0.001


class Examined(NamedTuple):
    """Facts about one image file.

    Attributes:
        width, height: pixels.
        mode: Pillow's mode.
        depth: bits per channel.
        bytes: size of the file.
        sha256: of the file's bytes.
        looks: perceptual hash, 64 bits.
        several_frames: whether it is an animation or has several pages; the first is used.
        unreadable: why it cannot be decoded; empty if it can.
        metadata: why its metadata cannot be read; empty if it can.
        transparent: whether a pixel is not opaque.
        darkest, brightest: gray values, 0..255, of all but a few pixels.
        span: difference between the brightest and the darkest of all gray values.
        least, most: values in the file, of an image with more than 8 bits per channel.
        not_finite: whether a value is infinite or not a number.
    """

    width: int = 0
    height: int = 0
    mode: str = ""
    depth: int = 0
    bytes: int = 0
    sha256: str = ""
    looks: int = NO_HASH
    several_frames: bool = False
    unreadable: str = ""
    metadata: str = ""
    transparent: bool = False
    darkest: int = 0
    brightest: int = 0
    span: int = 0
    least: float = 0.0
    most: float = 0.0
    not_finite: bool = False


DTYPES: dict[str, Any] = {
    "width": np.int32, "height": np.int32, "mode": object, "depth": np.int8, "bytes": np.int64, "sha256": object,
    "looks": np.uint64, "several_frames": np.bool_, "unreadable": object, "metadata": object,
    "transparent": np.bool_, "darkest": np.int16, "brightest": np.int16, "span": np.int16, "least": np.float64,
    "most": np.float64, "not_finite": np.bool_,
}  # fmt: skip


def examine(path: str, data_spec: DataSpec) -> Examined:
    """Decode every pixel of one file, as later steps do, and collect its facts.

    Raises DataError if a remote filesystem fails.
    """
    try:
        content = read_bytes(path)
        if not content:
            return Examined(unreadable="the file is empty")
        with opened(io.BytesIO(content), data_spec.max_pixels, path) as image:
            return _facts(image, content, data_spec)
    except UnreadableImageError as error:
        return Examined(unreadable=error.message)
    except OSError as error:
        return Examined(unreadable=error.strerror or "No such file or directory")


def _facts(image: Image.Image, content: bytes, data_spec: DataSpec) -> Examined:
    width, height = image.size
    decode(image, data_spec.max_pixels)
    gray = eight_bit(image, "L", data_spec)
    return pixel_facts(image, gray)._replace(
        width=width,
        height=height,
        depth=16 if is_deep(image) else 8,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        looks=perceptual_hash(gray),
        # A phone's MPO has the photograph first, then its depth or a small copy.
        several_frames=bool(getattr(image, "is_animated", False)) and image.format != "MPO",
        metadata=orientation(image)[1],
        transparent=transparency_of(image) is not None,
    )


def pixel_facts(image: Image.Image, gray: Image.Image) -> Examined:
    """The facts about the values of a decoded image.

    Args:
        image: as it is in the file.
        gray: the same in mode `L`, as `eight_bit` makes it.

    Returns:
        Only `mode`, `darkest`, `brightest`, `span`, `least`, `most` and `not_finite` are set.
    """
    darkest, brightest, span = _grays(gray)
    least, most, not_finite = deep_values(image) if is_deep(image) else (0.0, 0.0, False)
    return Examined(
        mode=image.mode,
        darkest=darkest,
        brightest=brightest,
        span=span,
        least=least,
        most=most,
        not_finite=not_finite,
    )


def _grays(gray: Image.Image) -> tuple[int, int, int]:
    """The darkest and the brightest of almost all pixels of an image in mode `L`, and the span of all of them."""
    counts = np.asarray(gray.histogram())
    share = np.cumsum(counts) / counts.sum()
    found = np.flatnonzero(counts)
    span = int(found[-1] - found[0])
    return int(np.searchsorted(share, FEW, side="right")), int(np.searchsorted(share, 1 - FEW)), span


def deep_values(image: Image.Image) -> tuple[float, float, bool]:
    """The least and the greatest finite value of a decoded image, and whether there are others."""
    values = np.asarray(image)
    finite = values[np.isfinite(values)]
    least, most = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return least, most, finite.size < values.size


def examine_all(
    paths: Sequence[str],
    data_spec: DataSpec,
    progress: Callable[[int], None] = lambda done: None,
    threads: int | None = None,
) -> pd.DataFrame:
    """Examine every file.

    Args:
        paths: of the files.
        data_spec: background, range of values, and limit of pixels.
        progress: receives the number of finished files from time to time.
        threads: that read and decode; None: one for each processor.

    Returns:
        A table with one row per path and the columns of `Examined`.

    Raises:
        DataError: a remote filesystem fails.
    """
    columns = {name: np.empty(len(paths), dtype) for name, dtype in DTYPES.items()}
    with ThreadPoolExecutor(max_workers=threads or len(os.sched_getaffinity(0))) as pool:
        for start in range(0, len(paths), IMAGES_AT_ONCE):
            results = list(pool.map(partial(examine, data_spec=data_spec), paths[start : start + IMAGES_AT_ONCE]))
            for name, values in zip(columns, zip(*results, strict=True), strict=True):
                columns[name][start : start + len(results)] = values
            progress(start + len(results))
    return pd.DataFrame(columns)
