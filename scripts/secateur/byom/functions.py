"""Convert ONNX operators that act on each element or channel: normalisation, activations, arithmetic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import layers
from numpy.typing import NDArray

from secateur.byom.values import (
    Node,
    Operator,
    UnsupportedError,
    Value,
    attach,
    computed,
    constant,
    images,
    last_axis,
    require_alike,
    scalar,
)


def batch_norm(node: Node) -> Value:
    """Convert a batch normalisation of a map over its channels, or of vectors."""
    value = computed(node.operands[0])
    if len(value.axes) == 4:
        images(value)
    elif value.order is not None:
        raise UnsupportedError("works on a flattened map")
    weights = [constant(operand, "a statistic") for operand in node.operands[1:5]]
    layer = layers.BatchNormalization(
        epsilon=float(node.options.get("epsilon", 1e-5)),
        momentum=float(node.options.get("momentum", 0.9)),
        name=node.name,
    )
    return value.made(attach(layer, value.tensor, weights))


def layer_norm(node: Node) -> Value:
    """Convert a layer normalisation over the channels, wherever ONNX has them."""
    value = computed(node.operands[0])
    last_axis(value, int(node.options.get("axis", -1)))
    scale = constant(node.operands[1], "the scale").reshape(-1)
    offset = node.operands[2] if len(node.operands) > 2 else None
    offset = np.zeros_like(scale) if offset is None else constant(offset, "the offset").reshape(-1)
    layer = layers.LayerNormalization(epsilon=float(node.options.get("epsilon", 1e-5)), name=node.name)
    return value.made(attach(layer, value.tensor, [scale, offset]))


def activation(kind: str, not_negative: bool = False) -> Operator:
    """The converter of a function that Keras has under this name."""

    def convert(node: Node) -> Value:
        value = computed(node.operands[0])
        return value.made(layers.Activation(kind, name=node.name)(value.tensor), not_negative)

    return convert


def leaky_relu(node: Node) -> Value:
    """Convert LeakyRelu, with any slope below 0."""
    value = computed(node.operands[0])
    layer = layers.LeakyReLU(negative_slope=float(node.options.get("alpha", 0.01)), name=node.name)
    return value.made(layer(value.tensor))


def elu(node: Node) -> Value:
    """Convert Elu, with any scale below 0."""
    value = computed(node.operands[0])
    return value.made(layers.ELU(alpha=float(node.options.get("alpha", 1.0)), name=node.name)(value.tensor))


def gelu(node: Node) -> Value:
    """Convert the exact form of Gelu; Keras has no layer for the approximation."""
    if node.options.get("approximate", b"none") != b"none":
        raise UnsupportedError("only the exact form is possible")
    return activation("gelu")(node)


def hard_sigmoid(node: Node) -> Value:
    """Convert HardSigmoid. Keras has the slope 1/6; for another slope that function is put between two scalings."""
    value = computed(node.operands[0])
    slope, offset = float(node.options.get("alpha", 0.2)), float(node.options.get("beta", 0.5))
    tensor = value.tensor
    if not (math.isclose(slope, 1 / 6, rel_tol=1e-5) and math.isclose(offset, 0.5)):
        # relu6(6 a x + 6 b - 3 + 3) / 6
        tensor = layers.Rescaling(6 * slope, 6 * offset - 3, name=f"{node.name}_scaled")(tensor)
    return value.made(layers.Activation("hard_sigmoid", name=node.name)(tensor), not_negative=True)


def clip(node: Node) -> Value:
    """Convert Clip from 0 to a number, or from 0 without an upper bound."""
    value = computed(node.operands[0])
    bounds = [scalar(operand) for operand in (*node.operands[1:], None, None)[:2]]
    low = bounds[0] if bounds[0] is not None else -math.inf
    high = bounds[1] if bounds[1] is not None else math.inf
    if low != 0 or high <= 0:
        raise UnsupportedError(f"it clips from {low:g} to {high:g}; only from 0 to a positive number is possible")
    layer = layers.ReLU(max_value=None if math.isinf(high) else high, name=node.name)
    return value.made(layer(value.tensor), not_negative=True)


def softmax(node: Node) -> Value:
    """Convert a softmax over the channels."""
    value = computed(node.operands[0])
    last_axis(value, int(node.options.get("axis", -1 if len(value.axes) == 2 else 1)))
    return value.made(layers.Activation("softmax", name=node.name)(value.tensor), not_negative=True)


def arithmetic(op: str) -> Operator:
    """The converter of Add, Sub, Mul or Div, of two tensors or of a tensor and a constant."""
    merges = {"Add": layers.Add, "Sub": layers.Subtract, "Mul": layers.Multiply}

    def convert(node: Node) -> Value:
        first, second = node.operands[:2]
        if isinstance(first, Value) and isinstance(second, Value):
            if op not in merges:
                raise UnsupportedError("it divides by a computed tensor")
            require_alike(first, second)
            wider = first if np.prod(first.shape) >= np.prod(second.shape) else second
            merged = merges[op](name=node.name)([first.tensor, second.tensor])
            return wider.made(merged, op != "Sub" and first.not_negative and second.not_negative)
        if isinstance(first, Value):
            return _affine(first, *_scale_and_offset(op, constant(second, "an operand")), node.name)
        value, number = computed(second), constant(first, "an operand")
        if op == "Sub":
            return _affine(value, np.array(-1.0), number, node.name)
        if op == "Div":
            raise UnsupportedError("it divides by a computed tensor")
        return _affine(value, *_scale_and_offset(op, number), node.name)

    return convert


def _scale_and_offset(op: str, number: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    one, zero = np.array(1.0), np.array(0.0)
    if op in ("Add", "Sub"):
        return one, number if op == "Add" else -number
    return number if op == "Mul" else 1 / number, zero


def _affine(value: Value, scale: NDArray[Any], offset: NDArray[Any], name: str) -> Value:
    """Multiply by a constant and add a constant: one number for all, or one per channel."""
    if scale.size == 1 and offset.size == 1:
        layer = layers.Rescaling(float(scale.reshape(())), float(offset.reshape(())), name=name)
        return value.made(
            layer(value.tensor), value.not_negative and float(scale.min()) > 0 and float(offset.min()) >= 0
        )
    if len(value.axes) != 4:
        raise UnsupportedError("a constant for each element is possible with feature maps only")
    channels = int(value.tensor.shape[-1])
    scales, offsets = (_per_channel(value, array, channels) for array in (scale, offset))
    biased = bool(np.any(offsets))
    layer = layers.DepthwiseConv2D(1, use_bias=biased, name=name)
    return value.made(attach(layer, value.tensor, [scales.reshape(1, 1, channels, 1), *([offsets] if biased else [])]))


def _per_channel(value: Value, array: NDArray[Any], channels: int) -> NDArray[Any]:
    """A constant that broadcasts against the ONNX tensor, as one number per channel."""
    sides = (1,) * (len(value.axes) - array.ndim) + array.shape
    axis = value.axes[-1]
    if len(sides) != len(value.axes) or any(side != 1 for place, side in enumerate(sides) if place != axis):
        raise UnsupportedError(f"a constant of shape {list(array.shape)} is not one number per channel")
    return np.broadcast_to(array.reshape(-1), channels)


def negate(node: Node) -> Value:
    """Convert Neg: multiply by -1."""
    return _affine(computed(node.operands[0]), np.array(-1.0), np.array(0.0), node.name)


def power(node: Node) -> Value:
    """Convert Pow with the exponent 2."""
    value = computed(node.operands[0])
    if scalar(node.operands[1]) != 2:
        raise UnsupportedError("only the square is possible")
    return value.made(layers.Multiply(name=node.name)([value.tensor, value.tensor]), not_negative=True)
