"""What the converter knows about a tensor: the places of ONNX's axes and elements in the Keras tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from keras import layers
from numpy.typing import NDArray

# The ONNX axis that each Keras axis holds if ONNX has NCHW. Keras always computes in NHWC.
CHANNELS_LAST = (0, 2, 3, 1)


class UnsupportedError(Exception):
    """A node that plain Keras layers cannot express; the message says why."""


@dataclass(frozen=True)
class Value:
    """A tensor of the graph.

    Attributes:
        tensor: the Keras tensor.
        axes: for each axis of `tensor`, the axis of the ONNX tensor in its place.
        order: for a flattened tensor, the ONNX position of each element of `tensor`; None if the order is the same.
        not_negative: whether no element is below 0. Then padding with 0 does not change a maximum.
    """

    tensor: Any
    axes: tuple[int, ...]
    order: NDArray[np.int64] | None = None
    not_negative: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in ONNX' order, for a batch of one."""
        sides = [1 if side is None else int(side) for side in self.tensor.shape]
        return tuple(sides[self.axes.index(axis)] for axis in range(len(sides)))

    def made(self, tensor: Any, not_negative: bool = False) -> Value:
        """Another tensor whose elements are at the same places."""
        return replace(self, tensor=tensor, not_negative=not_negative)


@dataclass(frozen=True)
class Node:
    """One ONNX node with its operands.

    Attributes:
        name: for the Keras layer.
        proto: the node.
        operands: converted tensors and constants; None for an absent input.
        options: attributes.
    """

    name: str
    proto: onnx.NodeProto
    operands: list[Value | NDArray[Any] | None]
    options: dict[str, Any]


Operator = Callable[[Node], Value]


def images(value: Any) -> Value:
    """The value, which must be a map of features with its channels last in Keras."""
    if not isinstance(value, Value) or len(value.axes) != 4:
        raise UnsupportedError("its input is not a batch of feature maps")
    if value.axes != CHANNELS_LAST:
        raise UnsupportedError("the channels of its input are not on the expected axis")
    return value


def constant(value: Any, what: str) -> NDArray[Any]:
    """The operand, which must be a constant."""
    if not isinstance(value, np.ndarray):
        raise UnsupportedError(f"{what} is computed, not a constant")
    return value


def last_axis(value: Value, axis: int) -> None:
    """Require that an ONNX axis is Keras' last one."""
    if value.axes[-1] != axis % len(value.axes):
        raise UnsupportedError(f"it works on axis {axis}, which is not the channel axis")
    if value.order is not None:
        raise UnsupportedError("it works on a flattened map")


def computed(operand: Any) -> Value:
    """The operand, which must not be a constant."""
    if not isinstance(operand, Value):
        raise UnsupportedError("its input is a constant")
    return operand


def scalar(operand: Any) -> float | None:
    """The operand as one number; None if it is absent."""
    return None if operand is None else float(constant(operand, "a bound").reshape(()))


def attach(layer: Any, inputs: Any, weights: list[NDArray[Any]]) -> Any:
    """Call a layer and give it its weights, float32."""
    output = layer(inputs)
    layer.set_weights([np.asarray(array, np.float32) for array in weights])
    return output


def require_alike(first: Value, second: Value) -> None:
    """Refuse tensors whose axes or elements are in different orders."""
    orders = [[] if value.order is None else value.order.tolist() for value in (first, second)]
    if first.axes != second.axes or orders[0] != orders[1]:
        raise UnsupportedError("its inputs have their axes in different orders")


def zero_padded(tensor: Any, pads: list[int], name: str) -> Any:
    """Pad a map with zeros: `pads` are [top, left, bottom, right]."""
    if min(pads) < 0:
        raise UnsupportedError("its padding is negative")
    top, left, bottom, right = pads
    return layers.ZeroPadding2D(((top, bottom), (left, right)), name=name)(tensor)
