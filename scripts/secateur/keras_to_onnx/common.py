"""What several emitters share: the refusal of a layer, and how axes and names translate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.errors import ModelError

NHWC_TO_NCHW, NCHW_TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
CHANNEL_LAST_AXIS_IN_NCHW = {0: 0, 1: 2, 2: 3, 3: 1}


def activation_name(layer: Any) -> str:
    """Name of a layer's activation function; `linear` where it has none."""
    return getattr(getattr(layer, "activation", None), "__name__", "linear")


def unknown_layer(layer: Any, what: str = "") -> ModelError:
    """The error for what cannot be written."""
    return ModelError(
        f"layer '{layer.name}' ({type(layer).__name__}{what}) cannot be written as ONNX",
        "set export.converter: tf2onnx, or replace the layer",
    )


def channel_axis(rank: int) -> int:
    """The axis of the channels in the ONNX tensor; only maps, which have four axes, are moved to NCHW."""
    return 1 if rank == 4 else rank - 1


def axis_in_onnx(axis: int, rank: int) -> int:
    """The axis of the ONNX tensor that holds an axis of the Keras tensor."""
    return CHANNEL_LAST_AXIS_IN_NCHW[axis % rank] if rank == 4 else axis % rank


def channels_first(values: NDArray[Any]) -> NDArray[Any]:
    """An array for each element of a tensor, without the batch axis, in the order of the ONNX tensor."""
    return values.transpose(2, 0, 1) if values.ndim == 3 else values


def per_channel(values: NDArray[Any], rank: int) -> NDArray[np.float32]:
    """A vector of one number a channel, shaped so that it broadcasts against an ONNX tensor of this rank."""
    return np.asarray(values, np.float32).reshape((-1,) + (1,) * (rank - 1 - channel_axis(rank)))
