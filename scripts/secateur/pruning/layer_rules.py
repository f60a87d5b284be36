"""The effect of each kind of layer on the channels that pass through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from secateur.models.cost import WITH_KERNELS
from secateur.models.graph import Call, TensorId, calls_of, last_layers, outputs_of, require_known_layer
from secateur.pruning.channel_graph import ChannelGraph, Constraint, per_group
from secateur.pruning.channels import Channels

MERGES = (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum)
# Layers that treat all channels alike and keep their order.
PASS_THROUGH = (
    layers.Identity,
    layers.ActivityRegularization,
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
)
CHANNEL_MIXING_ACTIVATIONS = ("softmax", "log_softmax", "sparsemax", "glu")
NEEDS_ALL_BECAUSE = {
    layers.LayerNormalization: "it normalises over all its channels, so none of them can be removed",
    layers.GroupNormalization: "it normalises over groups of its channels, so none of them can be removed",
}

Handler = Callable[[ChannelGraph, Call, list[Channels]], Channels]


def channel_graph(model: keras.Model) -> ChannelGraph:
    """Follow all channels of a built, flat functional model with channels last.

    Raises:
        ModelError: the model contains another model, or a layer that layer_kinds.py does not have.
    """
    graph = ChannelGraph()
    tensors: dict[TensorId, Channels] = {}
    for call in calls_of(model):
        inputs = [tensors[tensor] for tensor in call.inputs]
        output = _handler(call)(graph, call, inputs)
        tensors[call.outputs[0]] = output
        for tensor, shape in zip(call.outputs[1:], call.output_shapes[1:], strict=True):
            tensors[tensor] = graph.new_fixed(shape[-1] or 1)
    graph.protected = {
        name for name in last_layers(model, lambda layer: isinstance(layer, WITH_KERNELS)) if name in graph.produced
    }
    graph.fixed += [graph.produced[name] for name in graph.protected]
    graph.fixed += [tensors[tensor] for tensor in outputs_of(model)]
    return graph


def _handler(call: Call) -> Handler:
    layer = call.layer
    require_known_layer(layer)
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return _needs_all
    return HANDLERS[type(layer)]


def _input(graph: ChannelGraph, call: Call, _: list[Channels]) -> Channels:
    return graph.new_fixed(call.output_shapes[0][-1] or 1)


def _needs_all(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    """A layer that must get, and gives, all its channels."""
    kind = type(call.layer)
    reason = NEEDS_ALL_BECAUSE.get(kind, f"a {kind.__name__} layer cannot follow pruned channels")
    graph.constraints += [Constraint(call.layer.name, channels, reason) for channels in inputs]
    return graph.new_fixed(call.output_shapes[0][-1] or 1)


def _convolution(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    layer, channels = call.layer, inputs[0]
    if layer.groups > 1 and per_group(layer, len(channels)) == 1:
        return _depthwise(graph, call, inputs)
    if layer.name not in graph.consumed:
        graph.ends.append(layer.name)
    graph.consume(layer, channels)
    produced = graph.produce(layer.name, layer.filters)
    if layer.groups > 1:
        # Every group of the convolution must keep the same number: channels at the same place of all groups are tied.
        _tie_rows(graph, layer, channels.reshape(layer.groups, -1))
        _tie_rows(graph, layer, produced.reshape(layer.groups, -1))
    return _activated(graph, layer, produced)


def _tie_rows(graph: ChannelGraph, layer: Any, rows: Channels) -> None:
    for row in rows[1:]:
        graph.tie(layer, rows[0], row)


def _separable(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    return _consumer(graph, call.layer, inputs[0], call.layer.filters)


def _dense(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    return _consumer(graph, call.layer, inputs[0], call.layer.units)


def _consumer(graph: ChannelGraph, layer: Any, channels: Channels, filters: int) -> Channels:
    if layer.name not in graph.consumed:
        graph.ends.append(layer.name)
    graph.consume(layer, channels)
    return _activated(graph, layer, graph.produce(layer.name, filters))


def _activated(graph: ChannelGraph, layer: Any, channels: Channels) -> Channels:
    if _mixes_channels(layer):
        graph.fixed.append(channels)
    return channels


def _mixes_channels(layer: Any) -> bool:
    return getattr(getattr(layer, "activation", None), "__name__", "") in CHANNEL_MIXING_ACTIVATIONS


def _depthwise(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    """Follow a depthwise layer. Each filter reads one channel and is removed with it; a channel can have several."""
    layer = call.layer
    graph.consume(layer, inputs[0])
    filters = call.output_shapes[0][-1] or 1
    channels = graph.produce(layer.name, filters)
    graph.tie(layer, channels, np.repeat(inputs[0], filters // len(inputs[0])))
    return _activated(graph, layer, channels)


def _transposed(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    """Follow a layer whose input side is sliced, but whose own filters are never pruned, as in TAO."""
    layer = call.layer
    if layer.name not in graph.consumed:
        graph.ends.append(layer.name)
        graph.reshaped[layer.name] = graph.new_fixed(layer.filters)
    graph.consume(layer, inputs[0])
    return graph.reshaped[layer.name]


def _batch_norm(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    layer = call.layer
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
    if axis not in (-1, len(call.input_shapes[0]) - 1):
        return _needs_all(graph, call, inputs)
    if layer.name not in graph.consumed:
        graph.norms.append(layer.name)
    graph.consume(layer, inputs[0])
    return inputs[0]


def _slopes(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    """Follow PReLU: it has one slope per channel, unless the channel axis shares one."""
    rank = len(call.input_shapes[0])
    if rank - 1 not in {axis % rank for axis in call.layer.shared_axes or ()}:
        graph.consume(call.layer, inputs[0])
    return inputs[0]


def _pass_through(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    return inputs[0]


def _activation(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    return _needs_all(graph, call, inputs) if _mixes_channels(call.layer) else inputs[0]


def _rescaling(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    """Follow a rescaling. With one number per channel all must stay: the numbers are options and cannot be sliced."""
    numbers = np.ndim(call.layer.scale), np.ndim(call.layer.offset)
    return _needs_all(graph, call, inputs) if any(numbers) else inputs[0]


def _permute(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    keeps_channels_last = call.layer.dims[-1] == len(call.layer.dims)
    return inputs[0] if keeps_channels_last else _needs_all(graph, call, inputs)


def _merge(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    """Follow a merge: tie the operands position by position. An operand of one channel is broadcast and stays."""
    widest = max(inputs, key=len)
    for channels in inputs:
        if channels is widest:
            continue
        if len(channels) == len(widest):
            graph.tie(call.layer, widest, channels)
        else:
            graph.fixed.append(channels)
    return widest


def _concatenate(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    rank = len(call.output_shapes[0])
    if call.layer.axis in (-1, rank - 1):
        return np.concatenate(inputs)
    for channels in inputs[1:]:
        graph.tie(call.layer, inputs[0], channels)
    return inputs[0]


def _flatten(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    if None in call.input_shapes[0][1:]:
        return _needs_all(graph, call, inputs)
    positions = int(np.prod([side or 1 for side in call.input_shapes[0][1:-1]]))
    return np.tile(inputs[0], positions)


def _reshape(graph: ChannelGraph, call: Call, inputs: list[Channels]) -> Channels:
    """Follow a reshape. All elements of a new channel are tied, so that the rest is still a full array."""
    layer, before, after = call.layer, call.input_shapes[0][1:], call.output_shapes[0][1:]
    if None in before or None in after:
        return _needs_all(graph, call, inputs)
    width = after[-1] or 1
    elements = np.broadcast_to(inputs[0], [side or 1 for side in before]).reshape(-1, width)
    for row in np.unique(elements, axis=0):
        if (row != elements[0]).any():
            graph.tie(layer, elements[0], row)
    graph.consume(layer, inputs[0])
    graph.reshaped[layer.name] = elements[0]
    return np.asarray(elements[0])


# By the very class: one derived from it may compute something else.
HANDLERS: dict[Any, Handler] = {
    layers.InputLayer: _input,
    layers.DepthwiseConv2D: _depthwise,
    layers.SeparableConv2D: _separable,
    layers.Conv2DTranspose: _transposed,
    layers.Conv2D: _convolution,
    layers.Dense: _dense,
    layers.BatchNormalization: _batch_norm,
    layers.LayerNormalization: _needs_all,
    layers.GroupNormalization: _needs_all,
    layers.Softmax: _needs_all,
    layers.PReLU: _slopes,
    layers.Concatenate: _concatenate,
    layers.Flatten: _flatten,
    layers.Reshape: _reshape,
    layers.Permute: _permute,
    layers.Rescaling: _rescaling,
    layers.Activation: _activation,
    **dict.fromkeys(MERGES, _merge),
    **dict.fromkeys(PASS_THROUGH, _pass_through),
}
