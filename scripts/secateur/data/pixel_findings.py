"""Find images whose pixels or metadata are not what their owner thinks: constant, transparent, of another range."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from secateur.data.pixel_values import AUTO_RANGES
from secateur.data.preflight import finding
from secateur.errors import DataError
from secateur.spec import DataSpec

# Gray values, 0..255: an image is uniform if all its pixels are within `UNIFORM` of each other, and nearly black or
# white if almost all are up to `BLACK` or from `WHITE` on.
UNIFORM, BLACK, WHITE = 2, 16, 239
# Ranges that programs write, from 8 bits to 32.
KNOWN_TOPS = (1, 255, 1023, 4095, 16383, 65535, 2**31 - 1, 2**32 - 1)
# Integers that fill no more than 12 of 16 bits would have 16 gray levels or less.
DARK_TOP = 4095
OVERSHOOT = 0.01  # of a float: filters leave values a little out of 0..1
KINDS = {"I": "integer", "F": "float"}


def pixel_findings(table: pd.DataFrame, data_spec: DataSpec) -> list[pd.DataFrame]:
    """Findings about metadata, transparency and pixel values.

    Args:
        table: all images: `path`, and the columns of `Examined`.
        data_spec: background and range of values.
    """
    table = table[table["unreadable"].eq("")]
    laid = "the hidden colours count" if data_spec.background == "none" else f"laid on {data_spec.background}"
    return [
        finding("metadata ignored", *_columns(table, table["metadata"].ne(""), table["metadata"])),
        finding("transparent", table.loc[table["transparent"], "path"], detail=laid),
        *value_findings(table, data_spec),
    ]


def value_findings(table: pd.DataFrame, data_spec: DataSpec) -> list[pd.DataFrame]:
    """Findings about pixel values.

    Args:
        table: readable images: `path`, and the columns that `pixel_facts` sets.
        data_spec: the range of values.
    """
    uniform = table["span"].le(UNIFORM)
    black, white = table["brightest"].le(BLACK) & ~uniform, table["darkest"].ge(WHITE) & ~uniform
    outside = _outside(table, data_spec)
    return [
        *(
            finding(kind, *_columns(table, which, _grays(table)))
            for kind, which in (("uniform", uniform), ("nearly black", black), ("nearly white", white))
        ),
        finding("values out of range", *_columns(table, outside, _values(table))),
        finding("not a number", table.loc[table["not_finite"], "path"], detail="such pixels are black or white"),
    ]


def _columns(table: pd.DataFrame, which: pd.Series, detail: pd.Series) -> tuple[list[str], str, list[str]]:
    return table.loc[which, "path"].tolist(), "", detail[which].tolist()


def _grays(table: pd.DataFrame) -> pd.Series:
    return "gray values " + table["darkest"].astype(str) + " to " + table["brightest"].astype(str)


def _values(table: pd.DataFrame) -> pd.Series:
    # as text: a table without images keeps numbers otherwise
    least, most = (table[column].map("{:g}".format).astype(str) for column in ("least", "most"))
    return "values " + least + " to " + most + ", clipped"


def _outside(table: pd.DataFrame, data_spec: DataSpec) -> pd.Series:
    """Whether each image has values that are clipped."""
    found = pd.Series(False, index=table.index)
    for letter, auto in AUTO_RANGES.items():
        low, high = auto if data_spec.value_range == "auto" else data_spec.value_range
        rows = _of_kind(table, letter)
        found |= rows & (table["least"].lt(low) | table["most"].gt(high))
    return found


def _of_kind(table: pd.DataFrame, letter: str) -> pd.Series:
    return table["mode"].str.startswith(letter)


def require_fitting_range(table: pd.DataFrame, data_spec: DataSpec) -> None:
    """Refuse deep images that `data.value_range: auto` would make black or white.

    The range is never guessed from the images, since new images must be scaled as those of the training: it is in the
    spec, or it is that of the type of the pixels.

    Args:
        table: readable images, with the columns of `Examined`.
        data_spec: the range of values.

    Raises:
        DataError: the values of all images together do not fit; the hint names the range that does.
    """
    if data_spec.value_range != "auto":
        return
    for letter, (low, high) in AUTO_RANGES.items():
        rows = table[_of_kind(table, letter)]
        least, most = rows["least"].min(), rows["most"].max()
        fitting = fitting_range(letter, least, most) if len(rows) else "auto"
        if fitting != "auto":
            raise DataError(
                f"images with {KINDS[letter]} pixels: {len(rows)}, with values from {least:g} to {most:g}; "
                f"data.value_range: auto takes {low:g} as black and {high:g} as white",
                f"set data.value_range: {fitting}, or [{low:g}, {high:g}] to leave it so",
            )


def fitting_range(letter: str, least: float, most: float) -> str:
    """The value of `data.value_range` for deep images with these values: `auto`, or the usual range that holds them.

    Args:
        letter: `I` for integers, `F` for floats.
        least, most: the values of all images together.
    """
    low, high = AUTO_RANGES[letter]
    slack = OVERSHOOT if letter == "F" else 0
    dark = letter == "I" and 0 < most <= DARK_TOP
    if low - slack <= least and most <= high + slack and not dark:
        return "auto"
    top = next((top for top in KNOWN_TOPS if most <= top), None)
    if least >= -OVERSHOOT and top is not None:
        return f"[0, {top}]"
    if least >= -(2**15) and most < 2**15 and most > 1:
        return "[-32768, 32767]"
    return f"[{np.floor(least):.0f}, {np.ceil(most):.0f}]"


def pixel_warnings(found: Mapping[str, int], data_spec: DataSpec) -> dict[str, str]:
    """The warnings about pixels, one sentence each.

    Args:
        found: kind of finding -> count.
        data_spec: background.

    Returns:
        Kind of finding -> sentence; the caller adds where the images are named.
    """
    laid = "their hidden colours count" if data_spec.background == "none" else f"laid on {data_spec.background}"
    words = {
        "metadata ignored": "images with metadata that cannot be read, taken as upright: {}",
        "transparent": f"transparent images, {laid} (data.background): {{}}",
        "uniform": "images of one colour: {}; transparent ones may need another data.background",
        "nearly black": "images that are nearly black: {}",
        "nearly white": "images that are nearly white: {}",
        "values out of range": "images with values out of data.value_range, which are clipped: {}",
        "not a number": "images with values that are not a number: {}",
    }
    return {kind: text.format(found[kind]) for kind, text in words.items() if found.get(kind)}
