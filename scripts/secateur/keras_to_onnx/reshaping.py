"""Write layers that pool, join, move or resize as ONNX nodes. Four-dimensional tensors are NCHW."""

from __future__ import annotations

import numpy as np
from keras import layers

from secateur.keras_to_onnx.common import NCHW_TO_NHWC, NHWC_TO_NCHW, axis_in_onnx, unknown_layer
from secateur.keras_to_onnx.convolutions import pads_of
from secateur.keras_to_onnx.nodes import Nodes
from secateur.models.graph import Call

MERGE_OPS = {
    layers.Add: "Add",
    layers.Subtract: "Sub",
    layers.Multiply: "Mul",
    layers.Average: "Mean",
    layers.Maximum: "Max",
    layers.Minimum: "Min",
}


def merge(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write a sum, product or the like of tensors of the same rank."""
    if len({len(shape) for shape in call.input_shapes}) > 1:
        raise unknown_layer(call.layer, " of tensors with different ranks")
    op = MERGE_OPS[type(call.layer)]
    if op in ("Mean", "Max", "Min"):
        return nodes.node(op, inputs, call.layer.name)
    value = inputs[0]
    for index, other in enumerate(inputs[1:], start=1):
        name = call.layer.name if index == len(inputs) - 1 else f"{call.layer.name}_{index}"
        value = nodes.node(op, [value, other], name)
    return value


def concatenate(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write a concatenation along any axis."""
    axis = axis_in_onnx(call.layer.axis, len(call.output_shapes[0]))
    return nodes.node("Concat", inputs, call.layer.name, axis=axis)


def max_pool(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write max pooling."""
    return _pool(nodes, call, inputs, "MaxPool")


def average_pool(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write average pooling; padding does not count."""
    if tuple(call.layer.pool_size) == call.input_shapes[0][1:3] and call.layer.padding == "valid":
        return nodes.node("GlobalAveragePool", inputs, call.layer.name)
    return _pool(nodes, call, inputs, "AveragePool")


def _pool(nodes: Nodes, call: Call, inputs: list[str], op: str) -> str:
    layer = call.layer
    pads = pads_of(call, layer.pool_size)
    return nodes.node(op, inputs, layer.name, kernel_shape=layer.pool_size, strides=layer.strides, pads=pads)


def global_pool(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write global average or max pooling."""
    layer = call.layer
    op = "GlobalMaxPool" if isinstance(layer, layers.GlobalMaxPooling2D) else "GlobalAveragePool"
    pooled = nodes.node(op, inputs, layer.name)
    return pooled if layer.keepdims else nodes.node("Flatten", [pooled], f"{layer.name}_flat", axis=1)


def zero_padding(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write zero padding, unless the next convolution takes it over."""
    if call.outputs[0] in nodes.padding:
        return inputs[0]
    (top, bottom), (left, right) = call.layer.padding
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    return nodes.node("Pad", [*inputs, nodes.constant(f"{call.layer.name}/pads", pads)], call.layer.name)


def cropping(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write cropping of a map."""
    (top, bottom), (left, right) = call.layer.cropping
    sides = [int(side or 0) for side in call.input_shapes[0][1:3]]
    if 0 in sides:
        raise unknown_layer(call.layer, " with an input of unknown size")
    limits = {"starts": [top, left], "ends": [sides[0] - bottom, sides[1] - right], "axes": [2, 3]}
    operands = [
        nodes.constant(f"{call.layer.name}/{name}", np.array(values, np.int64)) for name, values in limits.items()
    ]
    return nodes.node("Slice", [*inputs, *operands], call.layer.name)


def up_sampling(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write up-sampling, by repeated pixels or by linear interpolation."""
    layer = call.layer
    ways = {
        "nearest": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        "bilinear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    }
    if layer.interpolation not in ways:
        raise unknown_layer(layer, f" with interpolation {layer.interpolation}")
    scales = nodes.constant(f"{layer.name}/scales", np.array([1, 1, *layer.size], np.float32))
    # The second input, a region of interest, is empty.
    return nodes.node("Resize", [*inputs, "", scales], layer.name, **ways[layer.interpolation])


def permute(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write a permutation of all axes except the first."""
    order = [0, *call.layer.dims]
    rank = len(order)
    sources = [order[axis] for axis in NHWC_TO_NCHW] if rank == 4 else order
    return nodes.node("Transpose", inputs, call.layer.name, perm=[axis_in_onnx(axis, rank) for axis in sources])


def flatten(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write flattening of all axes except the batch axis, in the order of Keras."""
    shape = call.input_shapes[0]
    value = inputs[0]
    if len(shape) == 4 and shape[1:3] != (1, 1):
        value = nodes.node("Transpose", [value], f"{call.layer.name}_nhwc", perm=NCHW_TO_NHWC)
    return nodes.node("Flatten", [value], call.layer.name, axis=1)


def reshape(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write a reshape to a known size, in the order of Keras."""
    name, before, after = call.layer.name, call.input_shapes[0], call.output_shapes[0]
    if None in after[1:]:
        raise unknown_layer(call.layer, " to an unknown size")
    value = inputs[0]
    if len(before) == 4 and before[1:3] != (1, 1):
        value = nodes.node("Transpose", [value], f"{name}_nhwc", perm=NCHW_TO_NHWC)
    sides: list[int] = [int(side or 0) for side in after[1:]]
    to_channels_first = len(after) == 4
    if to_channels_first and sides[:2] == [1, 1]:
        sides, to_channels_first = [sides[2], 1, 1], False
    target = nodes.constant(f"{name}/shape", np.array([0, *sides], np.int64))
    reshaped = nodes.node("Reshape", [value, target], name)
    return nodes.node("Transpose", [reshaped], f"{name}_nchw", perm=NHWC_TO_NCHW) if to_channels_first else reshaped


def identity(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write nothing, for layers such as dropout outside training."""
    return inputs[0]
