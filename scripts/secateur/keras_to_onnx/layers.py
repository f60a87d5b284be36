"""How each kind of Keras layer is written as ONNX. Four-dimensional tensors are NCHW."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import layers
from numpy.typing import NDArray

from secateur.errors import ModelError
from secateur.keras_to_onnx.nodes import Nodes
from secateur.models.graph import Call

NHWC_TO_NCHW, NCHW_TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
CHANNEL_LAST_AXIS_IN_NCHW = {0: 0, 1: 2, 2: 3, 3: 1}
RELU6_TOP = 6.0
MERGE_OPS = {
    layers.Add: "Add",
    layers.Subtract: "Sub",
    layers.Multiply: "Mul",
    layers.Average: "Mean",
    layers.Maximum: "Max",
    layers.Minimum: "Min",
}


def scale_and_offset(norm: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The affine map that a batch normalisation is at inference."""
    mean = np.asarray(norm.moving_mean, np.float64)
    scale = 1 / np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma, np.float64)
    offset = -mean * scale
    return scale, offset + np.asarray(norm.beta, np.float64) if norm.center else offset


def activation_name(layer: Any) -> str:
    """Name of a layer's activation function; `linear` where it has none."""
    return getattr(getattr(layer, "activation", None), "__name__", "linear")


def unknown_layer(layer: Any, what: str = "") -> ModelError:
    """The error for what cannot be written."""
    return ModelError(
        f"layer '{layer.name}' ({type(layer).__name__}{what}) cannot be written as ONNX",
        "set export.converter: tf2onnx, or replace the layer",
    )


def same_pads(
    size: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...]
) -> list[int]:
    """ONNX pads [top, left, bottom, right] for `same` padding as TensorFlow computes it."""
    begin, end = [], []
    for side, window, stride, spread in zip(size, kernel, strides, dilation, strict=True):
        reach = (window - 1) * spread + 1
        total = max((-(-side // stride) - 1) * stride + reach - side, 0)
        begin.append(total // 2)
        end.append(total - total // 2)
    return begin + end


def _pads(call: Call, kernel: tuple[int, ...], dilation: tuple[int, ...] = (1, 1)) -> list[int]:
    if call.layer.padding == "valid":
        return [0, 0, 0, 0]
    size = tuple(side or 0 for side in call.input_shapes[0][1:3])
    if 0 in size:
        raise unknown_layer(call.layer, " with an input of unknown size")
    return same_pads(size, kernel, call.layer.strides, dilation)


def _require_channels_last(layer: Any) -> None:
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise unknown_layer(layer, " with channels first")


def affine(
    nodes: Nodes, call: Call, kernel: NDArray[Any], channel_axis: int
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Kernel and bias of a layer with the batch normalisation that follows it folded in, float32."""
    layer = call.layer
    bias = np.asarray(layer.get_weights()[1], np.float64) if layer.use_bias else None
    norm = nodes.folded.get(call.outputs[0])
    if norm is not None:
        scale, offset = scale_and_offset(norm)
        shape = [1] * kernel.ndim
        shape[channel_axis] = -1
        kernel = kernel.astype(np.float64) * scale.reshape(shape)
        bias = offset if bias is None else bias * scale + offset
    return np.asarray(kernel, np.float32), None if bias is None else bias.astype(np.float32)


def activated(nodes: Nodes, layer: Any, value: str) -> str:
    """Apply the activation that is part of a layer."""
    kind = activation_name(layer)
    return value if kind == "linear" else emit_activation(nodes, kind, value, f"{layer.name}_{kind}", layer)


def _convolution(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    layer = call.layer
    _require_channels_last(layer)
    kernel = np.asarray(layer.get_weights()[0]).transpose(3, 2, 0, 1)
    return _emit_convolution(nodes, call, inputs, kernel, layer.groups)


def _depthwise(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    layer = call.layer
    _require_channels_last(layer)
    kernel = np.asarray(layer.get_weights()[0])
    height, width, channels, multiplier = kernel.shape
    kernel = kernel.reshape(height, width, channels * multiplier, 1).transpose(2, 3, 0, 1)
    return _emit_convolution(nodes, call, inputs, kernel, channels)


def _emit_convolution(nodes: Nodes, call: Call, inputs: list[str], kernel: NDArray[Any], groups: int) -> str:
    layer = call.layer
    kernel, bias = affine(nodes, call, kernel, channel_axis=0)
    operands = [*inputs, nodes.constant(f"{layer.name}/kernel", kernel)]
    if bias is not None:
        operands.append(nodes.constant(f"{layer.name}/bias", bias))
    output = nodes.node(
        "Conv",
        operands,
        layer.name,
        kernel_shape=layer.kernel_size,
        strides=layer.strides,
        dilations=layer.dilation_rate,
        pads=nodes.padding.get(call.inputs[0]) or _pads(call, layer.kernel_size, layer.dilation_rate),
        group=groups,
    )
    return activated(nodes, layer, output)


def _dense(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    layer = call.layer
    if len(call.input_shapes[0]) != 2:
        raise unknown_layer(layer, " on more than one axis")
    kernel, bias = affine(nodes, call, np.asarray(layer.get_weights()[0]), channel_axis=1)
    operands = [*inputs, nodes.constant(f"{layer.name}/kernel", kernel)]
    if bias is not None:
        operands.append(nodes.constant(f"{layer.name}/bias", bias))
    return activated(nodes, layer, nodes.node("Gemm", operands, layer.name))


def _batch_norm(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    if call.inputs[0] in nodes.folded:
        return inputs[0]
    name = call.layer.name
    scale, offset = (part.astype(np.float32) for part in scale_and_offset(call.layer))
    shape = (-1, 1, 1) if len(call.input_shapes[0]) == 4 else (-1,)
    scaled = nodes.node("Mul", [*inputs, nodes.constant(f"{name}/scale", scale.reshape(shape))], f"{name}_scale")
    return nodes.node("Add", [scaled, nodes.constant(f"{name}/offset", offset.reshape(shape))], name)


def _activation(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    return emit_activation(nodes, activation_name(call.layer), inputs[0], call.layer.name, call.layer)


def emit_activation(nodes: Nodes, kind: str, value: str, name: str, layer: Any) -> str:
    """One of Keras' activation functions by its name."""
    simple = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "elu": "Elu", "softplus": "Softplus"}
    if kind == "linear":
        return value
    if kind in simple:
        return nodes.node(simple[kind], [value], name)
    if kind == "softmax":
        return nodes.node("Softmax", [value], name, axis=1)
    if kind in ("silu", "swish"):
        gate = nodes.node("Sigmoid", [value], f"{name}_gate")
        return nodes.node("Mul", [value, gate], name)
    if kind == "relu6":
        return _clip(nodes, value, name, RELU6_TOP)
    if kind == "hard_sigmoid":
        return _hard_sigmoid(nodes, value, name)
    if kind in ("hard_silu", "hard_swish"):
        return nodes.node("Mul", [value, _hard_sigmoid(nodes, value, f"{name}_gate")], name)
    if kind == "mish":
        gate = nodes.node("Tanh", [nodes.node("Softplus", [value], f"{name}_softplus")], f"{name}_tanh")
        return nodes.node("Mul", [value, gate], name)
    if kind == "gelu":
        return _gelu(nodes, value, name)
    raise unknown_layer(layer, f" '{kind}'")


def _hard_sigmoid(nodes: Nodes, value: str, name: str) -> str:
    """relu6(x + 3) / 6, as Keras has it; the operator's own slope is another one."""
    return nodes.node("HardSigmoid", [value], name, alpha=1 / 6, beta=0.5)


def _gelu(nodes: Nodes, value: str, name: str) -> str:
    """x times the normal distribution function (Hendrycks and Gimpel, arXiv:1606.08415), without opset 20."""

    def scalar(number: float) -> str:
        return nodes.constant(f"scalar_{number:.9g}", np.array(number, np.float32))

    scaled = nodes.node("Mul", [value, scalar(float(np.sqrt(0.5)))], f"{name}_scaled")
    erf = nodes.node("Erf", [scaled], f"{name}_erf")
    raised = nodes.node("Add", [erf, scalar(1.0)], f"{name}_raised")
    doubled = nodes.node("Mul", [value, raised], f"{name}_doubled")
    return nodes.node("Mul", [doubled, scalar(0.5)], name)


def _clip(nodes: Nodes, value: str, name: str, top: float) -> str:
    low = nodes.constant("zero", np.array(0, np.float32))
    return nodes.node("Clip", [value, low, nodes.constant(f"clip_{top:g}", np.array(top, np.float32))], name)


def _relu(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    layer = call.layer
    if layer.threshold or layer.negative_slope:
        raise unknown_layer(layer, " with a threshold or slope")
    if layer.max_value is None:
        return nodes.node("Relu", inputs, layer.name)
    return _clip(nodes, inputs[0], layer.name, float(layer.max_value))


def _leaky_relu(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    return nodes.node("LeakyRelu", inputs, call.layer.name, alpha=float(call.layer.negative_slope))


def _elu(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    return nodes.node("Elu", inputs, call.layer.name, alpha=float(call.layer.alpha))


def _softmax(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    if call.layer.axis not in (-1, len(call.input_shapes[0]) - 1):
        raise unknown_layer(call.layer, " over another axis")
    return nodes.node("Softmax", inputs, call.layer.name, axis=1)


def _layer_norm(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Over the channels, from the operators that opset 13 has."""
    layer, rank = call.layer, len(call.input_shapes[0])
    if getattr(layer, "rms_scaling", False) or list(layer.axis) not in ([-1], [rank - 1]) or rank not in (2, 4):
        raise unknown_layer(layer, " over other axes than the last")
    name, axis = layer.name, [1]
    epsilon = nodes.constant(f"{name}/epsilon", np.array(layer.epsilon, np.float32))
    centred = nodes.node("Sub", [*inputs, _mean(nodes, inputs[0], f"{name}_mean", axis)], f"{name}_centred")
    squared = nodes.node("Mul", [centred, centred], f"{name}_squared")
    variance = nodes.node("Add", [_mean(nodes, squared, f"{name}_variance", axis), epsilon], f"{name}_shifted")
    value = nodes.node("Div", [centred, nodes.node("Sqrt", [variance], f"{name}_deviation")], f"{name}_normalised")
    shape = (-1,) + (1,) * (rank - 2)
    for op, vector in (("Mul", layer.gamma if layer.scale else None), ("Add", layer.beta if layer.center else None)):
        if vector is not None:
            operand = nodes.constant(f"{name}/{op}", np.asarray(vector, np.float32).reshape(shape))
            value = nodes.node(op, [value, operand], f"{name}_{op}")
    return value


def _mean(nodes: Nodes, value: str, name: str, axes: list[int]) -> str:
    """ReduceMean, whose axes became an input with opset 18."""
    if nodes.opset < 18:
        return nodes.node("ReduceMean", [value], name, axes=axes)
    return nodes.node("ReduceMean", [value, nodes.constant(f"{name}/axes", np.array(axes, np.int64))], name)


def _rescaling(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    name = call.layer.name
    value = inputs[0]
    for op, number in (("Mul", call.layer.scale), ("Add", call.layer.offset)):
        if np.ndim(number):
            raise unknown_layer(call.layer, " with one number a channel")
        if number != (1 if op == "Mul" else 0):
            value = nodes.node(
                op, [value, nodes.constant(f"{name}/{op}", np.array(number, np.float32))], f"{name}_{op}"
            )
    return value


def _merge(nodes: Nodes, call: Call, inputs: list[str]) -> str:
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


def _concatenate(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    rank = len(call.output_shapes[0])
    axis = call.layer.axis % rank
    return nodes.node("Concat", inputs, call.layer.name, axis=CHANNEL_LAST_AXIS_IN_NCHW[axis] if rank == 4 else axis)


def _max_pool(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    return _pool(nodes, call, inputs, "MaxPool")


def _average_pool(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    if tuple(call.layer.pool_size) == call.input_shapes[0][1:3] and call.layer.padding == "valid":
        return nodes.node("GlobalAveragePool", inputs, call.layer.name)
    return _pool(nodes, call, inputs, "AveragePool")


def _pool(nodes: Nodes, call: Call, inputs: list[str], op: str) -> str:
    layer = call.layer
    _require_channels_last(layer)
    pads = _pads(call, layer.pool_size)
    return nodes.node(op, inputs, layer.name, kernel_shape=layer.pool_size, strides=layer.strides, pads=pads)


def _global_pool(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    layer = call.layer
    _require_channels_last(layer)
    op = "GlobalMaxPool" if isinstance(layer, layers.GlobalMaxPooling2D) else "GlobalAveragePool"
    pooled = nodes.node(op, inputs, layer.name)
    return pooled if layer.keepdims else nodes.node("Flatten", [pooled], f"{layer.name}_flat", axis=1)


def _zero_padding(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    if call.outputs[0] in nodes.padding:
        return inputs[0]
    (top, bottom), (left, right) = call.layer.padding
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    return nodes.node("Pad", [*inputs, nodes.constant(f"{call.layer.name}/pads", pads)], call.layer.name)


def _flatten(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    shape = call.input_shapes[0]
    value = inputs[0]
    if len(shape) == 4 and shape[1:3] != (1, 1):
        value = nodes.node("Transpose", [value], f"{call.layer.name}_nhwc", perm=NCHW_TO_NHWC)
    return nodes.node("Flatten", [value], call.layer.name, axis=1)


def _reshape(nodes: Nodes, call: Call, inputs: list[str]) -> str:
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


def _identity(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    return inputs[0]


Emitter = Callable[[Nodes, Call, list[str]], str]
EMITTERS: tuple[tuple[Any, Emitter], ...] = (
    (layers.DepthwiseConv2D, _depthwise),
    (layers.Conv2D, _convolution),
    (layers.Dense, _dense),
    (layers.BatchNormalization, _batch_norm),
    (layers.LayerNormalization, _layer_norm),
    (layers.Rescaling, _rescaling),
    (layers.Activation, _activation),
    (layers.ReLU, _relu),
    (layers.LeakyReLU, _leaky_relu),
    (layers.ELU, _elu),
    (layers.Softmax, _softmax),
    (tuple(MERGE_OPS), _merge),
    (layers.Concatenate, _concatenate),
    (layers.MaxPooling2D, _max_pool),
    (layers.AveragePooling2D, _average_pool),
    ((layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D), _global_pool),
    (layers.ZeroPadding2D, _zero_padding),
    (layers.Flatten, _flatten),
    (layers.Reshape, _reshape),
    ((layers.Dropout, layers.SpatialDropout2D), _identity),
)
