"""Functions that several emitters share: the refusal of a layer, and the translation of axes and names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.errors import ModelError

NHWC_TO_NCHW, NCHW_TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
CHANNEL_LAST_AXIS_IN_NCHW = {0: 0, 1: 2, 2: 3, 3: 1}


def activation_name(layer: Any) -> str:
    """The name of a layer's activation function; `linear` if it has none."""
    return getattr(getattr(layer, "activation", None), "__name__", "linear")


def unknown_layer(layer: Any, what: str = "") -> ModelError:
    """The error for a layer that cannot be written."""
    return ModelError(
        f"layer '{layer.name}' ({type(layer).__name__}{what}) cannot be written as ONNX",
        "set export.converter: tf2onnx, or replace the layer",
    )


def channel_axis(rank: int) -> int:
    """The channel axis in the ONNX tensor. Only maps, which have four axes, are moved to NCHW."""
    return 1 if rank == 4 else rank - 1


def axis_in_onnx(axis: int, rank: int) -> int:
    """The axis of the ONNX tensor that holds an axis of the Keras tensor."""
    return CHANNEL_LAST_AXIS_IN_NCHW[axis % rank] if rank == 4 else axis % rank


def channels_first(values: NDArray[Any]) -> NDArray[Any]:
    """An array for each element of a tensor, without the batch axis, in the order of the ONNX tensor."""
    return values.transpose(2, 0, 1) if values.ndim == 3 else values


def per_channel(values: NDArray[Any], rank: int) -> NDArray[np.float32]:
    """A vector with one number per channel, shaped so that it broadcasts against an ONNX tensor of this rank."""
    return np.asarray(values, np.float32).reshape((-1,) + (1,) * (rank - 1 - channel_axis(rank)))
