"""Find which channels are coupled, by following every channel through the graph.

Each tensor is described by the identities of the channels along its last axis. A layer with filters makes
new channels; a merge ties the channels it adds or multiplies; concatenation, flattening and reshaping move
identities about. What a layer's weights must be sliced by is then read off its input and output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers

from secateur.errors import ModelError
from secateur.network import Call, TensorId, calls_of, last_layers, outputs_of
from secateur.pruning.channels import ChannelIds, Channels

MERGES = (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum)
# Layers that treat every channel alike and keep their order.
PASS_THROUGH = (
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.ReLU,
    layers.LeakyReLU,
    layers.ELU,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.ZeroPadding2D,
    layers.Cropping2D,
    layers.UpSampling2D,
    layers.Rescaling,
)
CHANNEL_MIXING_ACTIVATIONS = ("softmax", "log_softmax", "glu")


@dataclass
class Constraint:
    """A layer that cannot be given fewer input channels."""

    layer: str
    channels: Channels
    reason: str


@dataclass
class ChannelGraph:
    """The coupled channels of one model.

    Attributes:
        ids: identities and their ties.
        produced: prunable layer name -> its output channels, in the order of computation.
        consumed: name of a layer with weights, or of a Reshape -> channels along its input axis.
        reshaped: Reshape name -> channels along its output axis.
        constraints: layers that need all their input.
        fixed: channels that always stay, such as the image's.
        protected: prunable layers that reach an output with no other prunable layer between.
    """

    ids: ChannelIds = field(default_factory=ChannelIds)
    produced: dict[str, Channels] = field(default_factory=dict)
    consumed: dict[str, Channels] = field(default_factory=dict)
    reshaped: dict[str, Channels] = field(default_factory=dict)
    constraints: list[Constraint] = field(default_factory=list)
    fixed: list[Channels] = field(default_factory=list)
    protected: set[str] = field(default_factory=set)

    def new_fixed(self, count: int) -> Channels:
        """Channels that always stay."""
        channels = self.ids.new(count)
        self.fixed.append(channels)
        return channels

    def consume(self, name: str, channels: Channels) -> None:
        """Note what a layer reads; a shared layer reads equal channels in all its calls."""
        if name in self.consumed:
            self.ids.tie(self.consumed[name], channels)
        self.consumed.setdefault(name, channels)

    def produce(self, name: str, count: int) -> Channels:
        """The channels that a layer with filters makes, the same in all its calls."""
        if name not in self.produced:
            self.produced[name] = self.ids.new(count)
        return self.produced[name]


def channel_graph(model: keras.Model) -> ChannelGraph:
    """Follow all channels of a built, flat functional model with channels last.

    Raises:
        ModelError: a depthwise convolution with a multiplier above 1, or a model within the model.
    """
    graph = ChannelGraph()
    tensors: dict[TensorId, Channels] = {}
    for call in calls_of(model):
        inputs = [tensors[tensor] for tensor in call.inputs]
        output = _handler(call)(graph, call, inputs)
        tensors.update(dict.fromkeys(call.outputs, output))
    graph.protected = last_layers(model, lambda layer: is_prunable(layer) and getattr(layer, "groups", 1) == 1)
    graph.fixed += [graph.produced[name] for name in graph.protected]
    graph.fixed += [tensors[tensor] for tensor in outputs_of(model)]
    return graph


Handler = Callable[[ChannelGraph, Call, list[Channels]], Channels]


def is_prunable(layer: Any) -> bool:
    """Whether the layer's own filters can be removed. A depthwise filter goes with its input channel."""
    return type(layer) in (layers.Conv2D, layers.Dense, layers.DepthwiseConv2D)


def _handler(call: Call) -> Handler:
    layer = call.layer
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return _opaque
    for kinds, handler in HANDLERS:
        if isinstance(layer, kinds):
            return handler
    return _opaque


def _input(graph: ChannelGraph, call: Call, _: list[Channels]) -> Channels:
    return graph.new_fixed(call.output_shapes[0][-1] or 1)


def _opaque(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    """A layer that pruning does not understand: it must get, and gives, all its channels."""
    for channels in inputs:
        kind = type(call.layer).__name__
        graph.constraints.append(Constraint(call.layer.name, channels, f"a {kind} layer cannot follow pruned channels"))
    return graph.new_fixed(call.output_shapes[0][-1] or 1)


def _convolution(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    layer = call.layer
    if type(layer) is not layers.Conv2D or layer.groups != 1:
        return _opaque(graph, call, inputs)
    graph.consume(layer.name, inputs[0])
    return _activated(graph, layer, graph.produce(layer.name, layer.filters))


def _dense(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    graph.consume(call.layer.name, inputs[0])
    return _activated(graph, call.layer, graph.produce(call.layer.name, call.layer.units))


def _activated(graph: ChannelGraph, layer: Any, channels: Channels) -> Channels:
    if _mixes_channels(layer):
        graph.fixed.append(channels)
    return channels


def _mixes_channels(layer: Any) -> bool:
    return getattr(getattr(layer, "activation", None), "__name__", "") in CHANNEL_MIXING_ACTIVATIONS


def _depthwise(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    layer = call.layer
    if layer.depth_multiplier != 1:
        raise ModelError(
            f"layer '{layer.name}': a depthwise convolution with depth_multiplier {layer.depth_multiplier}",
            "pruning needs depth_multiplier 1",
        )
    graph.consume(layer.name, inputs[0])
    channels = graph.produce(layer.name, len(inputs[0]))
    graph.ids.tie(channels, inputs[0])
    return _activated(graph, layer, channels)


def _transposed(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    """Its input side is sliced; its own filters are never pruned (tao-facts 2.3)."""
    if call.layer.name not in graph.consumed:
        graph.reshaped[call.layer.name] = graph.new_fixed(call.layer.filters)
    graph.consume(call.layer.name, inputs[0])
    return graph.reshaped[call.layer.name]


def _batch_norm(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    axis = call.layer.axis if isinstance(call.layer.axis, int) else call.layer.axis[0]
    if axis not in (-1, len(call.input_shapes[0]) - 1):
        return _opaque(graph, call, inputs)
    graph.consume(call.layer.name, inputs[0])
    return inputs[0]


def _pass_through(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    return inputs[0]


def _activation(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    return _opaque(graph, call, inputs) if _mixes_channels(call.layer) else inputs[0]


def _merge(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    """Tie the operands position by position; an operand of one channel is broadcast and stays (tao-facts 2.2)."""
    widest = max(inputs, key=len)
    for channels in inputs:
        if len(channels) == len(widest):
            graph.ids.tie(widest, channels)
        else:
            graph.fixed.append(channels)
    return widest


def _concatenate(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    rank = len(call.output_shapes[0])
    if call.layer.axis in (-1, rank - 1):
        return np.concatenate(inputs)
    for channels in inputs[1:]:
        graph.ids.tie(inputs[0], channels)
    return inputs[0]


def _flatten(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    positions = int(np.prod([side or 1 for side in call.input_shapes[0][1:-1]]))
    return np.tile(inputs[0], positions)


def _reshape(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    """Possible when all elements that land on one channel come from one channel."""
    before = tuple(side for side in call.input_shapes[0][1:] if side is not None)
    after = tuple(side for side in call.output_shapes[0][1:] if side is not None)
    if len(before) < len(call.input_shapes[0]) - 1 or len(after) < len(call.output_shapes[0]) - 1:
        return _opaque(graph, call, inputs)
    elements = np.broadcast_to(inputs[0], before).reshape(-1, after[-1])
    if not (elements == elements[0]).all():
        return _opaque(graph, call, inputs)
    graph.consume(call.layer.name, inputs[0])
    graph.reshaped[call.layer.name] = elements[0]
    return np.asarray(elements[0])


HANDLERS: tuple[tuple[Any, Handler], ...] = (
    (layers.InputLayer, _input),
    (layers.DepthwiseConv2D, _depthwise),
    (layers.Conv2DTranspose, _transposed),
    (layers.Conv2D, _convolution),
    (layers.Dense, _dense),
    (layers.BatchNormalization, _batch_norm),
    (MERGES, _merge),
    (layers.Concatenate, _concatenate),
    (layers.Flatten, _flatten),
    (layers.Reshape, _reshape),
    (layers.Activation, _activation),
    (PASS_THROUGH, _pass_through),
)
