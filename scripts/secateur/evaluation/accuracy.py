"""How sure an accuracy is. Light: tables and pages use it too."""

from __future__ import annotations

import math


def standard_error(top_1: float, images: int) -> float:
    """Of a share of right answers among so many images (binomial)."""
    return math.sqrt(top_1 * (1 - top_1) / max(images, 1))
