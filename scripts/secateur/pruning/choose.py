"""Which channels of a group stay (tao-facts 2.1, rules 3 to 6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secateur.pruning.importance import Statistics
from secateur.spec import PruneSpec


def kept_count(statistics: Statistics, spec: PruneSpec) -> int:
    """How many stay: those strictly above the threshold, at least the minimum, rounded up to the granularity."""
    total = len(statistics)
    count = max(int((statistics > spec.threshold).sum()), min(spec.min_num_filters, total))
    rounded = -(-count // spec.granularity) * spec.granularity
    return min(rounded, total)


def kept_channels(statistics: Statistics, spec: PruneSpec) -> NDArray[np.int64]:
    """Ascending indices of the channels with the largest statistics; among equals the first ones."""
    order = np.argsort(-statistics, kind="stable")
    return np.sort(order[: kept_count(statistics, spec)])
