"""How much a filter matters: the norm of its weights, made comparable within its layer (tao-facts 2.1)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from keras import layers
from numpy.typing import NDArray

Statistics = NDArray[np.float64]


def filter_norms(layer: Any) -> Statistics:
    """L2 norm of each filter of a Conv2D, DepthwiseConv2D or Dense; biases never count.

    Returns:
        float64 [filters].
    """
    kernel = np.asarray(layer.get_weights()[0], dtype=np.float64)
    if isinstance(layer, layers.DepthwiseConv2D):
        return np.asarray(np.sqrt(np.square(kernel).sum(axis=(0, 1, 3))))
    return np.asarray(np.sqrt(np.square(kernel).reshape(-1, kernel.shape[-1]).sum(axis=0)))


def normalized(norms: Statistics, normalizer: Literal["max", "L2"]) -> Statistics:
    """Norms of one layer on a common scale.

    `max` divides by the largest. `L2` divides by the Euclidean norm of the vector and multiplies by its
    length, so that N equal filters get sqrt(N). A layer of zeros stays zero.
    """
    if normalizer == "max":
        divisor = norms.max(initial=0)
        return norms / divisor if divisor else norms
    divisor = np.linalg.norm(norms)
    return norms / divisor * len(norms) if divisor else norms


def merged(members: list[Statistics], criterion: str) -> Statistics:
    """One statistic for channels that live and die together.

    Args:
        members: normalised statistics, each float64 [channels], channel by channel of the group.
        criterion: `union` takes the largest, `intersection` the smallest, `arithmetic_mean` and
            `geometric_mean` the mean; one zero makes the geometric mean zero.
    """
    stacked = np.stack(members)
    if criterion == "union":
        return np.asarray(stacked.max(axis=0))
    if criterion == "intersection":
        return np.asarray(stacked.min(axis=0))
    if criterion == "arithmetic_mean":
        return np.asarray(stacked.mean(axis=0))
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(np.log(stacked).mean(axis=0)))
