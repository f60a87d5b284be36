"""Ranges of values, and the eight-bit numbers they become."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.errors import ModelError
from secateur.quantization.placement import Flavour

INT8_TOP, UINT8_TOP, UINT8_MIDDLE = 127, 255, 128
# A channel whose weights are all zero still needs a scale above zero.
SMALLEST_SCALE = 1e-12


@dataclass(frozen=True)
class Scale:
    """real = (integer - zero_point) * scale."""

    scale: float
    zero_point: int
    dtype: Any


@dataclass(frozen=True)
class Ranges:
    """Of each quantised activation the least and the largest value.

    Attributes:
        of: tensor -> (least, largest); the least is at most 0, the largest at least 0.
        symmetric: whether the network was trained with as many steps below zero as above it; then every program that
            runs it has them so, and cuts values off where training did.
    """

    of: Mapping[str, tuple[float, float]]
    symmetric: bool

    def scale(self, name: str, flavour: Flavour) -> Scale:
        """TensorRT: int8 with zero point 0. ONNX Runtime: uint8, with zero point 0 where nothing is below zero, so
        that a ReLU is part of it; int8 is three times slower there. All of its steps then lie in the range: with the
        scale of int8 half of them would lie beyond it, where training had cut values off.
        """
        least, largest = self.of[name]
        furthest = max(-least, largest, SMALLEST_SCALE)
        if flavour == "tensorrt":
            return Scale(furthest / INT8_TOP, 0, np.int8)
        if self.symmetric and least < 0:
            return Scale(furthest / INT8_TOP, UINT8_MIDDLE, np.uint8)
        scale = max(largest - least, SMALLEST_SCALE) / UINT8_TOP
        return Scale(scale, round(-least / scale), np.uint8)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"symmetric": self.symmetric, "ranges": {name: list(pair) for name, pair in self.of.items()}}


def ranges_from_json(data: Any, where: str) -> Ranges:
    """Ranges from plain data that a file holds.

    Raises:
        ModelError: it is something else.
    """
    try:
        pairs = {str(name): (float(least), float(largest)) for name, (least, largest) in data["ranges"].items()}
        symmetric = bool(data["symmetric"])
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ModelError(f"{where}: these are no ranges of a quantised network", "make the file again") from error
    for name, (least, largest) in pairs.items():
        if not (math.isfinite(least) and math.isfinite(largest) and least <= 0 <= largest):
            raise ModelError(f"{where}: {name} cannot have the range {least} to {largest}", "make the file again")
    return Ranges(pairs, symmetric)


def weight_scales(weights: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """One scale an output channel, symmetric, float32 [channels]; a kernel with a folded normalisation has the same
    integers as without it.
    """
    others = tuple(index for index in range(weights.ndim) if index != axis)
    furthest = np.maximum(weights.max(axis=others), -weights.min(axis=others))
    return np.asarray(np.maximum(furthest / INT8_TOP, SMALLEST_SCALE), np.float32)


def to_integers(values: NDArray[Any], scales: NDArray[np.float32], axis: int, dtype: type[np.integer]) -> NDArray[Any]:
    """Rounded to the nearest, as far below zero as above it, in the precision of `values`."""
    shape = [1] * values.ndim
    shape[axis] = -1
    top = np.iinfo(dtype).max
    # In place: a dense layer of VGG is 400 MB.
    scaled = values / scales.reshape(shape)
    np.rint(scaled, out=scaled)
    return np.clip(scaled, -top, top, out=scaled).astype(dtype)
