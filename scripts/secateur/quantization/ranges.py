"""Ranges of values, and their conversion to eight-bit integers."""

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
# A channel with only zero weights still needs a scale above zero.
SMALLEST_SCALE = 1e-12


@dataclass(frozen=True)
class Scale:
    """The map between numbers and integers: real = (integer - zero_point) * scale."""

    scale: float
    zero_point: int
    dtype: Any


@dataclass(frozen=True)
class Ranges:
    """The smallest and the largest value of each quantised activation.

    Attributes:
        of: tensor -> (smallest, largest); the smallest is at most 0, the largest at least 0.
        symmetric: whether the network was trained with a range that is symmetric around zero. Every program then uses
            the same range and clips values as in training.
    """

    of: Mapping[str, tuple[float, float]]
    symmetric: bool

    def scale(self, name: str, flavour: Flavour) -> Scale:
        """The integers of a tensor for one program.

        TensorRT uses int8 with zero point 0. ONNX Runtime uses uint8, since int8 is three times slower there; its zero
        point is 0 if no value is below zero, so that a ReLU needs no operator. All uint8 steps are inside the range:
        with the scale of int8 half of them would be outside it, where training clipped the values.
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
        """The ranges as plain data."""
        return {"symmetric": self.symmetric, "ranges": {name: list(pair) for name, pair in self.of.items()}}


def ranges_from_json(data: Any, where: str) -> Ranges:
    """The ranges from the plain data in a file.

    Raises:
        ModelError: the data is something else.
    """
    try:
        pairs = {str(name): (float(least), float(largest)) for name, (least, largest) in data["ranges"].items()}
        symmetric = bool(data["symmetric"])
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
        raise ModelError(
            f"{where}: the ranges of the activations are not valid", "run the step that writes this file again"
        ) from error
    for name, (least, largest) in pairs.items():
        if not (math.isfinite(least) and math.isfinite(largest) and least <= 0 <= largest):
            raise ModelError(
                f"{where}: {name} has the impossible range {least} to {largest}",
                "run the step that writes this file again",
            )
    return Ranges(pairs, symmetric)


def weight_scales(weights: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """One symmetric scale per output channel, float32 [channels]. A folded normalisation does not change the integers
    of a kernel.
    """
    others = tuple(index for index in range(weights.ndim) if index != axis)
    furthest = np.maximum(weights.max(axis=others), -weights.min(axis=others))
    return np.asarray(np.maximum(furthest / INT8_TOP, SMALLEST_SCALE), np.float32)


def to_integers(values: NDArray[Any], scales: NDArray[np.float32], axis: int, dtype: type[np.integer]) -> NDArray[Any]:
    """The values rounded to the nearest step, clipped symmetrically around zero, in the precision of `values`."""
    shape = [1] * values.ndim
    shape[axis] = -1
    top = np.iinfo(dtype).max
    # In place, since a dense layer of VGG has 400 MB.
    scaled = values / scales.reshape(shape)
    np.rint(scaled, out=scaled)
    return np.clip(scaled, -top, top, out=scaled).astype(dtype)
