"""Write normalisations and scalings as ONNX nodes. Four-dimensional tensors are NCHW."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.keras_to_onnx.common import per_channel, unknown_layer
from secateur.keras_to_onnx.nodes import Nodes
from secateur.models.graph import Call


def scale_and_offset(norm: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The affine map that a batch normalisation applies at inference."""
    mean = np.asarray(norm.moving_mean, np.float64)
    scale = 1 / np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma, np.float64)
    offset = -mean * scale
    return scale, offset + np.asarray(norm.beta, np.float64) if norm.center else offset


def is_over_channels(call: Call) -> bool:
    """Whether a normalisation's only axis is the last of its input."""
    axis = call.layer.axis
    return (axis if isinstance(axis, int) else axis[0]) in (-1, len(call.input_shapes[0]) - 1)


def batch_norm(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write a scale and an offset per channel, unless they are folded into the layer before."""
    if call.inputs[0] in nodes.folded:
        return inputs[0]
    if not is_over_channels(call):
        raise unknown_layer(call.layer, " over another axis than the last")
    name, rank = call.layer.name, len(call.input_shapes[0])
    scale, offset = (per_channel(part, rank) for part in scale_and_offset(call.layer))
    scaled = nodes.node("Mul", [*inputs, nodes.constant(f"{name}/scale", scale)], f"{name}_scale")
    return nodes.node("Add", [scaled, nodes.constant(f"{name}/offset", offset)], name)


def layer_norm(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write a layer normalisation over the channels with operators of opset 13."""
    layer, rank = call.layer, len(call.input_shapes[0])
    if getattr(layer, "rms_scaling", False) or list(layer.axis) not in ([-1], [rank - 1]) or rank not in (2, 4):
        raise unknown_layer(layer, " over other axes than the last")
    name, axis = layer.name, [1]
    epsilon = nodes.constant(f"{name}/epsilon", np.array(layer.epsilon, np.float32))
    centred = nodes.node("Sub", [*inputs, _mean(nodes, inputs[0], f"{name}_mean", axis)], f"{name}_centred")
    squared = nodes.node("Mul", [centred, centred], f"{name}_squared")
    variance = nodes.node("Add", [_mean(nodes, squared, f"{name}_variance", axis), epsilon], f"{name}_shifted")
    value = nodes.node("Div", [centred, nodes.node("Sqrt", [variance], f"{name}_deviation")], f"{name}_normalised")
    return _scaled_and_shifted(nodes, value, layer, rank)


def group_norm(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write a group normalisation. ONNX normalises each channel of a map alone, so each group is made one channel."""
    layer, sides = call.layer, call.input_shapes[0]
    if not is_over_channels(call) or len(sides) != 4 or None in sides[1:]:
        raise unknown_layer(layer, " on anything but maps of a known size, over the last axis")
    name, groups = layer.name, int(layer.groups)
    # -1 means one group per channel.
    groups = groups if groups > 0 else int(sides[3] or 0)
    height, width, channels = (int(side or 0) for side in sides[1:])
    grouped = nodes.constant(f"{name}/grouped", np.array([0, groups, -1], np.int64))
    plain = [
        nodes.constant(f"{name}/{part}", np.full(groups, number, np.float32))
        for part, number in (("ones", 1), ("zeros", 0))
    ]
    value = nodes.node("Reshape", [*inputs, grouped], f"{name}_grouped")
    value = nodes.node("InstanceNormalization", [value, *plain], f"{name}_normalised", epsilon=float(layer.epsilon))
    shape = nodes.constant(f"{name}/shape", np.array([0, channels, height, width], np.int64))
    value = nodes.node("Reshape", [value, shape], f"{name}_map")
    return _scaled_and_shifted(nodes, value, layer, 4)


def _scaled_and_shifted(nodes: Nodes, value: str, layer: Any, rank: int) -> str:
    """Write the learned scale and offset, if the layer has them."""
    for op, vector in (("Mul", layer.gamma if layer.scale else None), ("Add", layer.beta if layer.center else None)):
        if vector is not None:
            operand = nodes.constant(f"{layer.name}/{op}", per_channel(np.asarray(vector), rank))
            value = nodes.node(op, [value, operand], f"{layer.name}_{op}")
    return value


def _mean(nodes: Nodes, value: str, name: str, axes: list[int]) -> str:
    """Write ReduceMean, whose axes became an input with opset 18."""
    if nodes.opset < 18:
        return nodes.node("ReduceMean", [value], name, axes=axes)
    return nodes.node("ReduceMean", [value, nodes.constant(f"{name}/axes", np.array(axes, np.int64))], name)


def rescaling(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write a product with a scale and a sum with an offset: one number, or one per channel."""
    name, rank = call.layer.name, len(call.input_shapes[0])
    value = inputs[0]
    for op, number in (("Mul", call.layer.scale), ("Add", call.layer.offset)):
        factors = np.asarray(number, np.float32)
        if factors.ndim > 1:
            raise unknown_layer(call.layer, " with more than one number per channel")
        if factors.ndim == 1 or number != (1 if op == "Mul" else 0):
            operand = per_channel(factors, rank) if factors.ndim else factors
            value = nodes.node(op, [value, nodes.constant(f"{name}/{op}", operand)], f"{name}_{op}")
    return value
