"""Write a flat Keras model as ONNX without TensorFlow: one node a layer, batch normalisation folded.

Inside, four-dimensional tensors are NCHW, whatever layout the input has; Keras computes in NHWC.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import onnx
from keras import layers
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from secateur import __version__
from secateur.errors import ModelError
from secateur.network import Call, TensorId, calls_of, outputs_of
from secateur.vault import ONNX_END

INPUT_NAME, OUTPUT_NAME = "input_1", "predictions"
# The newest that TensorRT 8, DeepStream 6 and every ONNX Runtime of the last years read; TAO writes it too.
DEFAULT_OPSET = 13
IR_VERSION = 8
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
FOLDABLE = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)


def to_onnx(
    model: keras.Model, layout: str = "nchw", opset: int = DEFAULT_OPSET, metadata: dict[str, str] | None = None
) -> onnx.ModelProto:
    """Convert a model with one input and one output.

    Args:
        model: built, functional, channels last.
        layout: of the input: `nchw` or `nhwc`. It is float32 and preprocessed, named `input_1`, batch dynamic.
        opset: ONNX operator set, 13 to 18.
        metadata: text entries stored in the file.

    Returns:
        The checked ONNX model; its output `predictions` is float32 [batch, classes].

    Raises:
        ModelError: a layer that the writer does not know, named.
    """
    return _Writer(model, layout, opset).write(metadata or {})


class _Writer:
    def __init__(self, model: keras.Model, layout: str, opset: int) -> None:
        self.model, self.layout, self.opset = model, layout, opset
        self.calls = calls_of(model)
        self.consumers = Counter(tensor for call in self.calls for tensor in call.inputs)
        self.consumers.update(outputs_of(model))
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.names: dict[TensorId, str] = {}
        self.folded: dict[TensorId, Any] = {}
        self._plan_folding()

    def write(self, metadata: dict[str, str]) -> onnx.ModelProto:
        if len(self.model.inputs) != 1 or len(self.model.outputs) != 1:
            raise ModelError(f"the model '{self.model.name}' has several inputs or outputs", "export takes one of each")
        for call in self.calls:
            self._emit(call)
        last = self.names[outputs_of(self.model)[0]]
        self.nodes.append(helper.make_node("Identity", [last], [OUTPUT_NAME], name=OUTPUT_NAME))
        self._rename_output(last)
        graph = helper.make_graph(
            self.nodes, self.model.name, [self._input_info()], [self._output_info()], list(self.initializers.values())
        )
        proto = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", self.opset)],
            producer_name="secateur",
            producer_version=__version__,
            ir_version=IR_VERSION,
        )
        # The last entry ends the file: the vault tells a file cut short from a changed one by it.
        helper.set_model_props(proto, {**metadata, "complete": ONNX_END.decode()})
        onnx.checker.check_model(proto, full_check=True)
        return proto

    def _rename_output(self, last: str) -> None:
        """Let the last node write the output itself, in place of a copy."""
        writer = next((node for node in self.nodes[:-1] if last in node.output), None)
        readers = [node for node in self.nodes[:-1] if last in node.input]
        if writer is not None and not readers:
            self.nodes.pop()
            writer.output[list(writer.output).index(last)] = OUTPUT_NAME

    def _input_info(self) -> onnx.ValueInfoProto:
        _, height, width, channels = self.model.input_shape
        sides = [channels, height, width] if self.layout == "nchw" else [height, width, channels]
        return helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["batch", *sides])

    def _output_info(self) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["batch", *self.model.output_shape[1:]])

    def _plan_folding(self) -> None:
        """Find batch normalisations that can go into the convolution or dense layer before them."""
        makers = {tensor: call for call in self.calls for tensor in call.outputs}
        calls_per_layer = Counter(call.layer.name for call in self.calls)
        for call in self.calls:
            if not isinstance(call.layer, layers.BatchNormalization):
                continue
            before = makers[call.inputs[0]]
            alone = self.consumers[call.inputs[0]] == 1 and calls_per_layer[before.layer.name] == 1
            if alone and type(before.layer) in FOLDABLE and _activation_name(before.layer) == "linear":
                self.folded[call.inputs[0]] = call.layer

    def _emit(self, call: Call) -> None:
        if isinstance(call.layer, layers.InputLayer):
            self.names[call.outputs[0]] = self._input()
            return
        inputs = [self.names[tensor] for tensor in call.inputs]
        for kinds, emitter in EMITTERS:
            if isinstance(call.layer, kinds):
                self.names[call.outputs[0]] = emitter(self, call, inputs)
                return
        raise _unknown(call.layer)

    def _input(self) -> str:
        if self.layout == "nchw":
            return INPUT_NAME
        return self.node("Transpose", [INPUT_NAME], "input_nchw", perm=NHWC_TO_NCHW)

    def node(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node with one output; returns the output's name."""
        output = (
            f"{name}:0" if not any(f"{name}:0" in node.output for node in self.nodes) else f"{name}:{len(self.nodes)}"
        )
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add an initializer; calls of a shared layer share it."""
        if name not in self.initializers:
            array = np.ascontiguousarray(values)
            self.initializers[name] = numpy_helper.from_array(array, name)
        return name

    def affine(self, call: Call, kernel: NDArray[Any], channel_axis: int) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Kernel and bias of a layer with the batch normalisation that follows it folded in, float32."""
        layer = call.layer
        bias = np.asarray(layer.get_weights()[1], np.float64) if layer.use_bias else None
        norm = self.folded.get(call.outputs[0])
        if norm is not None:
            scale, offset = scale_and_offset(norm)
            shape = [1] * kernel.ndim
            shape[channel_axis] = -1
            kernel = kernel.astype(np.float64) * scale.reshape(shape)
            bias = offset if bias is None else bias * scale + offset
        return kernel.astype(np.float32), None if bias is None else bias.astype(np.float32)

    def activated(self, layer: Any, value: str) -> str:
        """Apply the activation that is part of a layer."""
        kind = _activation_name(layer)
        return value if kind == "linear" else emit_activation(self, kind, value, f"{layer.name}_{kind}", layer)


def scale_and_offset(norm: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The affine map that a batch normalisation is at inference."""
    mean = np.asarray(norm.moving_mean, np.float64)
    scale = 1 / np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma, np.float64)
    offset = -mean * scale
    return scale, offset + np.asarray(norm.beta, np.float64) if norm.center else offset


def _activation_name(layer: Any) -> str:
    return getattr(getattr(layer, "activation", None), "__name__", "linear")


def _unknown(layer: Any, what: str = "") -> ModelError:
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
        raise _unknown(call.layer, " with an input of unknown size")
    return same_pads(size, kernel, call.layer.strides, dilation)


def _require_channels_last(layer: Any) -> None:
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise _unknown(layer, " with channels first")


def _convolution(writer: _Writer, call: Call, inputs: list[str]) -> str:
    layer = call.layer
    _require_channels_last(layer)
    kernel = np.asarray(layer.get_weights()[0]).transpose(3, 2, 0, 1)
    return _emit_convolution(writer, call, inputs, kernel, layer.groups)


def _depthwise(writer: _Writer, call: Call, inputs: list[str]) -> str:
    layer = call.layer
    _require_channels_last(layer)
    kernel = np.asarray(layer.get_weights()[0])
    height, width, channels, multiplier = kernel.shape
    kernel = kernel.reshape(height, width, channels * multiplier, 1).transpose(2, 3, 0, 1)
    return _emit_convolution(writer, call, inputs, kernel, channels)


def _emit_convolution(writer: _Writer, call: Call, inputs: list[str], kernel: NDArray[Any], groups: int) -> str:
    layer = call.layer
    kernel, bias = writer.affine(call, kernel, channel_axis=0)
    operands = [*inputs, writer.constant(f"{layer.name}/kernel", kernel)]
    if bias is not None:
        operands.append(writer.constant(f"{layer.name}/bias", bias))
    output = writer.node(
        "Conv",
        operands,
        layer.name,
        kernel_shape=layer.kernel_size,
        strides=layer.strides,
        dilations=layer.dilation_rate,
        pads=_pads(call, layer.kernel_size, layer.dilation_rate),
        group=groups,
    )
    return writer.activated(layer, output)


def _dense(writer: _Writer, call: Call, inputs: list[str]) -> str:
    layer = call.layer
    if len(call.input_shapes[0]) != 2:
        raise _unknown(layer, " on more than one axis")
    kernel, bias = writer.affine(call, np.asarray(layer.get_weights()[0]), channel_axis=1)
    operands = [*inputs, writer.constant(f"{layer.name}/kernel", kernel)]
    if bias is not None:
        operands.append(writer.constant(f"{layer.name}/bias", bias))
    return writer.activated(layer, writer.node("Gemm", operands, layer.name))


def _batch_norm(writer: _Writer, call: Call, inputs: list[str]) -> str:
    if call.inputs[0] in writer.folded:
        return inputs[0]
    name = call.layer.name
    scale, offset = (part.astype(np.float32) for part in scale_and_offset(call.layer))
    shape = (-1, 1, 1) if len(call.input_shapes[0]) == 4 else (-1,)
    scaled = writer.node("Mul", [*inputs, writer.constant(f"{name}/scale", scale.reshape(shape))], f"{name}_scale")
    return writer.node("Add", [scaled, writer.constant(f"{name}/offset", offset.reshape(shape))], name)


def _activation(writer: _Writer, call: Call, inputs: list[str]) -> str:
    return emit_activation(writer, _activation_name(call.layer), inputs[0], call.layer.name, call.layer)


def emit_activation(writer: _Writer, kind: str, value: str, name: str, layer: Any) -> str:
    """One of Keras' activation functions by its name."""
    simple = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "elu": "Elu", "softplus": "Softplus"}
    if kind == "linear":
        return value
    if kind in simple:
        return writer.node(simple[kind], [value], name)
    if kind == "softmax":
        return writer.node("Softmax", [value], name, axis=1)
    if kind in ("silu", "swish"):
        gate = writer.node("Sigmoid", [value], f"{name}_gate")
        return writer.node("Mul", [value, gate], name)
    if kind == "relu6":
        return _clip(writer, value, name, RELU6_TOP)
    raise _unknown(layer, f" '{kind}'")


def _clip(writer: _Writer, value: str, name: str, top: float) -> str:
    low = writer.constant("zero", np.array(0, np.float32))
    return writer.node("Clip", [value, low, writer.constant(f"clip_{top:g}", np.array(top, np.float32))], name)


def _relu(writer: _Writer, call: Call, inputs: list[str]) -> str:
    layer = call.layer
    if layer.threshold or layer.negative_slope:
        raise _unknown(layer, " with a threshold or slope")
    if layer.max_value is None:
        return writer.node("Relu", inputs, layer.name)
    return _clip(writer, inputs[0], layer.name, float(layer.max_value))


def _leaky_relu(writer: _Writer, call: Call, inputs: list[str]) -> str:
    return writer.node("LeakyRelu", inputs, call.layer.name, alpha=float(call.layer.negative_slope))


def _elu(writer: _Writer, call: Call, inputs: list[str]) -> str:
    return writer.node("Elu", inputs, call.layer.name, alpha=float(call.layer.alpha))


def _softmax(writer: _Writer, call: Call, inputs: list[str]) -> str:
    if call.layer.axis not in (-1, len(call.input_shapes[0]) - 1):
        raise _unknown(call.layer, " over another axis")
    return writer.node("Softmax", inputs, call.layer.name, axis=1)


def _merge(writer: _Writer, call: Call, inputs: list[str]) -> str:
    if len({len(shape) for shape in call.input_shapes}) > 1:
        raise _unknown(call.layer, " of tensors with different ranks")
    op = MERGE_OPS[type(call.layer)]
    if op in ("Mean", "Max", "Min"):
        return writer.node(op, inputs, call.layer.name)
    value = inputs[0]
    for index, other in enumerate(inputs[1:], start=1):
        name = call.layer.name if index == len(inputs) - 1 else f"{call.layer.name}_{index}"
        value = writer.node(op, [value, other], name)
    return value


def _concatenate(writer: _Writer, call: Call, inputs: list[str]) -> str:
    rank = len(call.output_shapes[0])
    axis = call.layer.axis % rank
    return writer.node("Concat", inputs, call.layer.name, axis=CHANNEL_LAST_AXIS_IN_NCHW[axis] if rank == 4 else axis)


def _max_pool(writer: _Writer, call: Call, inputs: list[str]) -> str:
    return _pool(writer, call, inputs, "MaxPool")


def _average_pool(writer: _Writer, call: Call, inputs: list[str]) -> str:
    if tuple(call.layer.pool_size) == call.input_shapes[0][1:3] and call.layer.padding == "valid":
        return writer.node("GlobalAveragePool", inputs, call.layer.name)
    return _pool(writer, call, inputs, "AveragePool")


def _pool(writer: _Writer, call: Call, inputs: list[str], op: str) -> str:
    layer = call.layer
    _require_channels_last(layer)
    pads = _pads(call, layer.pool_size)
    return writer.node(op, inputs, layer.name, kernel_shape=layer.pool_size, strides=layer.strides, pads=pads)


def _global_pool(writer: _Writer, call: Call, inputs: list[str]) -> str:
    layer = call.layer
    _require_channels_last(layer)
    op = "GlobalMaxPool" if isinstance(layer, layers.GlobalMaxPooling2D) else "GlobalAveragePool"
    pooled = writer.node(op, inputs, layer.name)
    return pooled if layer.keepdims else writer.node("Flatten", [pooled], f"{layer.name}_flat", axis=1)


def _zero_padding(writer: _Writer, call: Call, inputs: list[str]) -> str:
    (top, bottom), (left, right) = call.layer.padding
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    return writer.node("Pad", [*inputs, writer.constant(f"{call.layer.name}/pads", pads)], call.layer.name)


def _flatten(writer: _Writer, call: Call, inputs: list[str]) -> str:
    shape = call.input_shapes[0]
    value = inputs[0]
    if len(shape) == 4 and shape[1:3] != (1, 1):
        value = writer.node("Transpose", [value], f"{call.layer.name}_nhwc", perm=NCHW_TO_NHWC)
    return writer.node("Flatten", [value], call.layer.name, axis=1)


def _reshape(writer: _Writer, call: Call, inputs: list[str]) -> str:
    name, before, after = call.layer.name, call.input_shapes[0], call.output_shapes[0]
    if None in after[1:]:
        raise _unknown(call.layer, " to an unknown size")
    value = inputs[0]
    if len(before) == 4 and before[1:3] != (1, 1):
        value = writer.node("Transpose", [value], f"{name}_nhwc", perm=NCHW_TO_NHWC)
    sides: list[int] = [int(side or 0) for side in after[1:]]
    to_channels_first = len(after) == 4
    if to_channels_first and sides[:2] == [1, 1]:
        sides, to_channels_first = [sides[2], 1, 1], False
    target = writer.constant(f"{name}/shape", np.array([0, *sides], np.int64))
    reshaped = writer.node("Reshape", [value, target], name)
    return writer.node("Transpose", [reshaped], f"{name}_nchw", perm=NHWC_TO_NCHW) if to_channels_first else reshaped


def _identity(writer: _Writer, call: Call, inputs: list[str]) -> str:
    return inputs[0]


Emitter = Callable[[_Writer, Call, list[str]], str]
EMITTERS: tuple[tuple[Any, Emitter], ...] = (
    (layers.DepthwiseConv2D, _depthwise),
    (layers.Conv2D, _convolution),
    (layers.Dense, _dense),
    (layers.BatchNormalization, _batch_norm),
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
