"""Examine image files: decode every pixel, collect facts, and compute digests."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from secateur.data.filesystem import read_bytes
from secateur.data.images import SIXTEEN_BIT_MODES, UnreadableImageError, decoded
from secateur.data.similar import NO_HASH, perceptual_hash

# Images that are examined at a time: limits the memory of waiting images.
IMAGES_AT_ONCE = 1024


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


DTYPES: dict[str, Any] = {
    "width": np.int32, "height": np.int32, "mode": object, "depth": np.int8, "bytes": np.int64, "sha256": object,
    "looks": np.uint64, "several_frames": np.bool_, "unreadable": object,
}  # fmt: skip


def examine(path: str) -> Examined:
    """Decode every pixel of one file and collect its facts. Raises DataError if a remote filesystem fails."""
    try:
        content = read_bytes(path)
        if not content:
            return Examined(unreadable="the file is empty")
        with decoded(io.BytesIO(content)) as image:
            return Examined(
                image.width,
                image.height,
                image.mode,
                16 if image.mode in SIXTEEN_BIT_MODES else 8,
                len(content),
                hashlib.sha256(content).hexdigest(),
                perceptual_hash(image),
                bool(getattr(image, "is_animated", False)),
            )
    except UnreadableImageError as error:
        return Examined(unreadable=error.message)
    except OSError as error:
        return Examined(unreadable=error.strerror or "No such file or directory")


def examine_all(
    paths: Sequence[str], progress: Callable[[int], None] = lambda done: None, threads: int | None = None
) -> pd.DataFrame:
    """Examine every file.

    Args:
        paths: of the files.
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
            results = list(pool.map(examine, paths[start : start + IMAGES_AT_ONCE]))
            for name, values in zip(columns, zip(*results, strict=True), strict=True):
                columns[name][start : start + len(results)] = values
            progress(start + len(results))
    return pd.DataFrame(columns)
