"""Quantisation-aware training: a network that computes in floats what its eight-bit form will compute.

After Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference
(arXiv:1712.05877): values and kernels are rounded to 255 levels on the way forward, and gradients pass through as if
they were not (Bengio et al., arXiv:1308.3432). Plain Keras operations, so that one trainer, its checkpoints and every
backend serve it; the result is a plain network, with the ranges beside it.

See docs/decisions/int8.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from secateur.errors import ModelError
from secateur.keras_to_onnx.layers import ONLY_IN_TRAINING
from secateur.keras_to_onnx.writer import DEFAULT_OPSET, Writer
from secateur.models.graph import TensorId, calls_of, copied
from secateur.quantization.calibration import bounded_ranges, tensors_to_measure
from secateur.quantization.placement import Network
from secateur.quantization.ranges import INT8_TOP, SMALLEST_SCALE, Ranges, ranges_from_json

# Of the moving average of a batch's largest value: it settles within some hundred batches.
RANGE_MOMENTUM = 0.99
SUFFIX = "_range"
# They change nothing at inference; what they read is quantised, not what they make.
TRANSPARENT = (*ONLY_IN_TRAINING, layers.ZeroPadding2D)


class FakeQuantize(layers.Layer):
    """Rounds to 255 levels between minus and plus the largest value, which it follows while training.

    Input and output: float32 of any shape. Its weights: the largest value, and the least one ever seen.
    """

    def build(self, shape: Any) -> None:
        """Two numbers that no gradient changes."""
        self.largest = self.add_weight(shape=(), initializer="zeros", trainable=False, name="largest")
        self.least = self.add_weight(shape=(), initializer="zeros", trainable=False, name="least")

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Rounded values; beyond the range, the range."""
        if training:
            seen = ops.max(ops.abs(x))
            moved = RANGE_MOMENTUM * self.largest + (1 - RANGE_MOMENTUM) * seen
            self.largest.assign(ops.stop_gradient(ops.where(self.largest > 0, moved, seen)))
            self.least.assign(ops.stop_gradient(ops.minimum(self.least, ops.min(x))))
        top = ops.maximum(ops.convert_to_tensor(self.largest), SMALLEST_SCALE)
        return _rounded(ops.clip(x, -top, top), top / INT8_TOP)

    def compute_output_shape(self, shape: Any) -> Any:
        """Unchanged."""
        return shape


def _rounded(x: Any, scale: Any) -> Any:
    """To multiples of the scale; the gradient passes."""
    return x + ops.stop_gradient(ops.round(x / scale) * scale - x)


def _rounded_kernel(kernel: Any, axes: tuple[int, ...]) -> Any:
    """With one scale an output channel, which lies along the axes that are not named."""
    kernel = ops.convert_to_tensor(kernel)
    top = ops.maximum(ops.max(ops.abs(kernel), axis=axes, keepdims=True), SMALLEST_SCALE)
    return _rounded(kernel, ops.stop_gradient(top) / INT8_TOP)


class QuantizedConv2D(layers.Conv2D):
    """A convolution with a rounded kernel."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """As its parent."""
        return super().convolution_op(inputs, _rounded_kernel(kernel, (0, 1, 2)))


class QuantizedDepthwiseConv2D(layers.DepthwiseConv2D):
    """A depthwise convolution with a rounded kernel."""

    def call(self, inputs: Any) -> Any:
        """As its parent."""
        outputs = ops.depthwise_conv(
            inputs,
            _rounded_kernel(self.kernel, (0, 1)),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return self.activation(outputs + self.bias if self.use_bias else outputs)


class QuantizedDense(layers.Dense):
    """A dense layer with a rounded kernel."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """As its parent."""
        outputs = ops.matmul(inputs, _rounded_kernel(self.kernel, (0,)))
        return self.activation(outputs + self.bias if self.use_bias else outputs)


ROUNDING: dict[type, type] = {
    layers.Conv2D: QuantizedConv2D,
    layers.DepthwiseConv2D: QuantizedDepthwiseConv2D,
    layers.Dense: QuantizedDense,
}


def quantisation_aware(model: keras.Model, ranges: Ranges | None = None) -> keras.Model:
    """A network around the same values that rounds as the eight-bit form of `model` will.

    Args:
        model: plain, functional. Its weights are copied.
        ranges: of its activations by the names that the ONNX writer gives them; without them training finds them.

    Raises:
        ModelError: the network cannot be written as ONNX, has a separable convolution, or a range is missing.
    """
    _require_layers_that_round(model)
    places, _ = _places(model)
    made = _rounding(model, places)
    _copy_weights(model, made)
    if ranges is not None:
        _set_ranges(made, places, ranges)
    return made


def _require_layers_that_round(model: keras.Model) -> None:
    """ONNX has two convolutions for a separable one, and no Keras tensor lies between them."""
    for layer in model.layers:
        if isinstance(layer, layers.SeparableConv2D):
            raise ModelError(
                f"layer '{layer.name}': a SeparableConv2D cannot be trained for int8",
                "set qat: False and calibrate after training, or use a DepthwiseConv2D and a Conv2D",
            )


def as_deployed(model: keras.Model, card: Mapping[str, Any], path: Any) -> keras.Model:
    """The network that will be deployed: one that was trained for int8 rounds as it will then.

    Args:
        model: plain, as its file has it.
        card: of the file.
        path: of the file, for errors.

    Raises:
        ModelError: the card's ranges are none, or do not fit the network.
    """
    found = card.get("quantization")
    return model if found is None else quantisation_aware(model, ranges_from_json(found, str(path)))


def plain_network(aware: keras.Model, model: keras.Model) -> tuple[keras.Model, Ranges]:
    """Take the trained values out of a quantisation-aware network.

    Args:
        aware: made by `quantisation_aware` from `model`.
        model: gets the weights.

    Returns:
        `model`, and the ranges by the names that the ONNX writer gives the tensors.
    """
    _copy_weights(aware, model)
    found: dict[str, tuple[float, float]] = {}
    places, network = _places(model)
    for tensor, name in places.items():
        layer = aware.get_layer(_range_layer(tensor))
        largest = float(np.asarray(layer.largest))
        found[name] = (-largest if float(np.asarray(layer.least)) < 0 else 0.0, largest)
    # Values inside a swish stand in no Keras tensor, and their range is known.
    return model, Ranges({**found, **bounded_ranges(network)}, symmetric=True)


def _places(model: keras.Model) -> tuple[dict[TensorId, str], Network]:
    """Tensors of the Keras graph that are quantised, what the ONNX writer calls them, and the graph that it writes."""
    writer = Writer(model, "nchw", DEFAULT_OPSET)
    network = Network(writer.write({}))
    wanted = set(tensors_to_measure(network))
    same: dict[str, TensorId] = {}
    moved: dict[str, TensorId] = {}
    for call in calls_of(model):
        for tensor in call.outputs:
            name = writer.names[tensor]
            if not isinstance(call.layer, TRANSPARENT):
                # A folded normalisation has the name of the convolution before it: the later one counts.
                same[name] = tensor
            # An average comes out of its Keras layer flat; nothing else holds what is quantised.
            moved.setdefault(network.source(name), tensor)
    return {tensor: name for name, tensor in {**moved, **same}.items() if name in wanted}, network


def _range_layer(tensor: TensorId) -> str:
    name, node, index = tensor
    return f"{name}{SUFFIX}" + (f"_{node}_{index}" if node or index else "")


def _rounding(model: keras.Model, places: Mapping[TensorId, str]) -> keras.Model:
    """A copy with rounding kernels, and a range behind each tensor of `places`."""
    calls: dict[str, list[TensorId]] = defaultdict(list)
    for call in calls_of(model):
        calls[call.layer.name].extend(call.outputs)
    source = model.inputs[0]._keras_history.operation.name
    given = keras.Input(model.input_shape[1:], name=source)
    first = _ranged(calls[source][0], given, places)

    def call_of(layer: Any, *args: Any, **kwargs: Any) -> Any:
        # One input: the ONNX writer has seen to that.
        args = keras.tree.map_structure(lambda x: first if x is given else x, args)
        return _ranged(calls[layer.name].pop(0), layer(*args, **kwargs), places)

    return copied(model, _rounding_layer, given, call_of)


def _ranged(tensor: TensorId, x: Any, places: Mapping[TensorId, str]) -> Any:
    return FakeQuantize(name=_range_layer(tensor), dtype="float32")(x) if tensor in places else x


def _rounding_layer(layer: Any) -> Any:
    kind: Any = ROUNDING.get(type(layer), type(layer))
    return kind.from_config(layer.get_config())


def _copy_weights(source: keras.Model, target: keras.Model) -> None:
    """By layer name; layers that only one of them has are passed over."""
    names = {layer.name for layer in target.layers}
    for layer in source.layers:
        if layer.name in names:
            target.get_layer(layer.name).set_weights(layer.get_weights())


def _set_ranges(aware: keras.Model, places: Mapping[TensorId, str], ranges: Ranges) -> None:
    for tensor, name in places.items():
        if name not in ranges.of:
            raise ModelError(f"there is no range for '{name}'", "train the network again")
        least, largest = ranges.of[name]
        aware.get_layer(_range_layer(tensor)).set_weights([np.float32(max(-least, largest)), np.float32(least)])
