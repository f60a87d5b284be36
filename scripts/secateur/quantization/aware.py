"""Quantisation-aware training with fake quantisation.

`quantisation_aware` adds fake quantisation to a float model; `plain_network` removes it and returns the learned
ranges. The method is that of Jacob et al. (arXiv:1712.05877): in the forward pass values and kernels are rounded to 255
levels; gradients pass through unchanged (Bengio et al., arXiv:1308.3432). All operations are plain Keras, so that the
same trainer, the same checkpoints and every backend can be used.

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

# Momentum of the moving average of a batch's largest value: it settles within some hundred batches.
RANGE_MOMENTUM = 0.99
SUFFIX = "_range"
# Layers that change nothing at inference: their input is quantised, not their output.
TRANSPARENT = (*ONLY_IN_TRAINING, layers.ZeroPadding2D)


class FakeQuantize(layers.Layer):
    """Rounds to 255 levels between minus and plus the largest value, which it tracks in training.

    Input and output: float32 of any shape. Weights: the largest value, and the smallest value so far.
    """

    def build(self, shape: Any) -> None:
        """Make two weights that no gradient changes."""
        self.largest = self.add_weight(shape=(), initializer="zeros", trainable=False, name="largest")
        self.least = self.add_weight(shape=(), initializer="zeros", trainable=False, name="least")

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Round the values, and clip them to the range."""
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
    """Round to multiples of the scale; the gradient passes unchanged."""
    return x + ops.stop_gradient(ops.round(x / scale) * scale - x)


def _rounded_kernel(kernel: Any, axes: tuple[int, ...]) -> Any:
    """Round a kernel with one scale per output channel, that is per index of the axes that are not named."""
    kernel = ops.convert_to_tensor(kernel)
    top = ops.maximum(ops.max(ops.abs(kernel), axis=axes, keepdims=True), SMALLEST_SCALE)
    return _rounded(kernel, ops.stop_gradient(top) / INT8_TOP)


class QuantizedConv2D(layers.Conv2D):
    """A convolution with a rounded kernel."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Do the same as the parent class, with a rounded kernel."""
        return super().convolution_op(inputs, _rounded_kernel(kernel, (0, 1, 2)))


class QuantizedDepthwiseConv2D(layers.DepthwiseConv2D):
    """A depthwise convolution with a rounded kernel."""

    def call(self, inputs: Any) -> Any:
        """Do the same as the parent class, with a rounded kernel."""
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
        """Do the same as the parent class, with a rounded kernel."""
        outputs = ops.matmul(inputs, _rounded_kernel(self.kernel, (0,)))
        return self.activation(outputs + self.bias if self.use_bias else outputs)


ROUNDING: dict[type, type] = {
    layers.Conv2D: QuantizedConv2D,
    layers.DepthwiseConv2D: QuantizedDepthwiseConv2D,
    layers.Dense: QuantizedDense,
}


def quantisation_aware(model: keras.Model, ranges: Ranges | None = None) -> keras.Model:
    """Add fake quantisation to a float model: the copy rounds as the eight-bit form of `model` will.

    Args:
        model: plain, functional. Its weights are copied.
        ranges: of its activations, by their names in the ONNX file; without them training learns them.

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
    """The network as it will be deployed: with fake quantisation if it was trained for int8.

    Args:
        model: plain, as in its file.
        card: of the file.
        path: of the file, for errors.

    Raises:
        ModelError: the card's ranges are not valid, or do not fit the network.
    """
    found = card.get("quantization")
    return model if found is None else quantisation_aware(model, ranges_from_json(found, str(path)))


def plain_network(aware: keras.Model, model: keras.Model) -> tuple[keras.Model, Ranges]:
    """Remove the fake quantisation of a trained network.

    Args:
        aware: made by `quantisation_aware` from `model`.
        model: gets the weights.

    Returns:
        `model`, and the learned ranges, by the names of the tensors in the ONNX file.
    """
    _copy_weights(aware, model)
    found: dict[str, tuple[float, float]] = {}
    places, network = _places(model)
    for tensor, name in places.items():
        layer = aware.get_layer(_range_layer(tensor))
        largest = float(np.asarray(layer.largest))
        found[name] = (-largest if float(np.asarray(layer.least)) < 0 else 0.0, largest)
    # The values inside a swish are in no Keras tensor, but their range is known.
    return model, Ranges({**found, **bounded_ranges(network)}, symmetric=True)


def _places(model: keras.Model) -> tuple[dict[TensorId, str], Network]:
    """The tensors of the Keras graph that are quantised, their names in the ONNX file, and the ONNX graph."""
    writer = Writer(model, "nchw", DEFAULT_OPSET)
    network = Network(writer.write({}))
    wanted = set(tensors_to_measure(network))
    same: dict[str, TensorId] = {}
    moved: dict[str, TensorId] = {}
    for call in calls_of(model):
        for tensor in call.outputs:
            name = writer.names[tensor]
            if not isinstance(call.layer, TRANSPARENT):
                # A folded normalisation has the name of the convolution before it; the later entry counts.
                same[name] = tensor
            # The output of an average is flat in Keras; no other tensor holds the quantised values.
            moved.setdefault(network.origin(name), tensor)
    return {tensor: name for name, tensor in {**moved, **same}.items() if name in wanted}, network


def _range_layer(tensor: TensorId) -> str:
    name, node, index = tensor
    return f"{name}{SUFFIX}" + (f"_{node}_{index}" if node or index else "")


def _rounding(model: keras.Model, places: Mapping[TensorId, str]) -> keras.Model:
    """A copy with rounded kernels, and fake quantisation after each tensor of `places`."""
    calls: dict[str, list[TensorId]] = defaultdict(list)
    for call in calls_of(model):
        calls[call.layer.name].extend(call.outputs)
    first_layer = model.inputs[0]._keras_history.operation.name
    given = keras.Input(model.input_shape[1:], name=first_layer)
    first = _ranged(calls[first_layer][0], given, places)

    def call_of(layer: Any, *args: Any, **kwargs: Any) -> Any:
        # There is one input: the ONNX writer has checked this.
        args = keras.tree.map_structure(lambda x: first if x is given else x, args)
        return _ranged(calls[layer.name].pop(0), layer(*args, **kwargs), places)

    return copied(model, _rounding_layer, given, call_of)


def _ranged(tensor: TensorId, x: Any, places: Mapping[TensorId, str]) -> Any:
    return FakeQuantize(name=_range_layer(tensor), dtype="float32")(x) if tensor in places else x


def _rounding_layer(layer: Any) -> Any:
    kind: Any = ROUNDING.get(type(layer), type(layer))
    return kind.from_config(layer.get_config())


def _copy_weights(trained: keras.Model, target: keras.Model) -> None:
    """Copy the weights by layer name; layers that only one of the two has are skipped."""
    names = {layer.name for layer in target.layers}
    for layer in trained.layers:
        if layer.name in names:
            target.get_layer(layer.name).set_weights(layer.get_weights())


def _set_ranges(aware: keras.Model, places: Mapping[TensorId, str], ranges: Ranges) -> None:
    for tensor, name in places.items():
        if name not in ranges.of:
            raise ModelError(f"there is no range for '{name}'", "train the network again")
        least, largest = ranges.of[name]
        aware.get_layer(_range_layer(tensor)).set_weights([np.float32(max(-least, largest)), np.float32(least)])
