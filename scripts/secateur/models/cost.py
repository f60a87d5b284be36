"""The cost of a network: parameters and multiply-accumulate operations (MACs)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from secateur.models.graph import Call, calls_of
from secateur.models.layer_kinds import layers_of_role

WITH_KERNELS = tuple(getattr(layers, name) for name in layers_of_role("filters", "inputs"))


@dataclass(frozen=True)
class Cost:
    """Attributes:
    params: weights, trainable or not.
    macs: multiply-accumulates of convolutions and dense layers for one image.
    """

    params: int
    macs: int


def cost_of(model: keras.Model) -> Cost:
    """The parameters and MACs of a model with a fixed input size. MACs of a shared layer count once per call."""
    macs = sum(kernel_macs(call, [tuple(weight.shape) for weight in call.layer.weights]) for call in calls_of(model))
    return Cost(int(model.count_params()), macs)


def kernel_macs(call: Call, shapes: Sequence[tuple[Any, ...]]) -> int:
    """The MACs of one call of a layer whose weights have these shapes.

    A kernel is used once per output position; in a transposed convolution once per input position.
    """
    if not isinstance(call.layer, WITH_KERNELS):
        return 0
    shape = call.input_shapes[0] if isinstance(call.layer, layers.Conv2DTranspose) else call.output_shapes[0]
    positions = math.prod(side or 1 for side in shape[1:-1])
    return positions * sum(int(math.prod(kernel)) for kernel in shapes if len(kernel) > 1)
