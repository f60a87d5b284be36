"""The standard error of an accuracy. This module imports no Keras, since tables and pages use it."""

from __future__ import annotations

import math


def standard_error(top_1: float, images: int) -> float:
    """The standard error of an accuracy measured on a number of images (binomial)."""
    return math.sqrt(top_1 * (1 - top_1) / max(images, 1))
