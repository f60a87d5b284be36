"""What a network costs: parameters and multiply-accumulate operations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras
from keras import layers

from secateur.network import Call, calls_of


@dataclass(frozen=True)
class Cost:
    """Attributes:
    params: weights, trainable or not.
    macs: multiply-accumulates of convolutions and dense layers for one image.
    """

    params: int
    macs: int


def cost_of(model: keras.Model) -> Cost:
    """Parameters and MACs of a model with a static input size. A shared layer counts once per call in MACs."""
    return Cost(int(model.count_params()), sum(_macs(call) for call in calls_of(model)))


def _macs(call: Call) -> int:
    """One use of the kernel per output position; a transposed convolution's per input position."""
    if not isinstance(call.layer, (layers.Conv2D, layers.DepthwiseConv2D, layers.Conv2DTranspose, layers.Dense)):
        return 0
    shape = call.input_shapes[0] if isinstance(call.layer, layers.Conv2DTranspose) else call.output_shapes[0]
    positions = math.prod(side or 1 for side in shape[1:-1])
    return positions * int(math.prod(call.layer.kernel.shape))
