"""Rebuild a model without some channels. The numbers that stay are the same, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from secateur.models.cost import Cost, kernel_macs
from secateur.models.graph import Call, calls_of, copied
from secateur.pruning.channel_graph import ChannelGraph, per_group

Indices = NDArray[np.int64]
# For each weight of a layer: the positions that stay along each axis.
Slices = list[list[tuple[int, Indices]]]


class Cut:
    """The positions of each layer's axes that stay.

    Args:
        graph: the model's channels.
        removed: identity roots of the removed channels.
    """

    def __init__(self, graph: ChannelGraph, removed: Sequence[int] | Indices) -> None:
        self.removed = np.asarray(removed, dtype=np.int64)
        alive = np.ones(len(graph.ids), dtype=bool)
        alive[self.removed] = False
        self.inputs = {
            name: np.flatnonzero(alive[graph.ids.roots(channels)]) for name, channels in graph.consumed.items()
        }
        self.outputs = {
            name: np.flatnonzero(alive[graph.ids.roots(channels)])
            for name, channels in {**graph.produced, **graph.reshaped}.items()
        }


class CutCost:
    """Computes the cost of a model after a cut from shapes only, in time linear in the number of layers."""

    def __init__(self, model: keras.Model, graph: ChannelGraph) -> None:
        self.graph = graph
        self.calls: list[Call] = [call for call in calls_of(model) if call.layer.weights]
        self.shapes = {call.layer.name: [tuple(w.shape) for w in call.layer.weights] for call in self.calls}

    def after(self, cut: Cut) -> Cost:
        """The parameters and MACs of the network that `rebuild` would return."""
        shapes = {call.layer.name: self._shapes(call.layer, cut) for call in self.calls}
        params = sum(int(np.prod(shape)) for of_layer in shapes.values() for shape in of_layer)
        return Cost(params, sum(kernel_macs(call, shapes[call.layer.name]) for call in self.calls))

    def _shapes(self, layer: Any, cut: Cut) -> list[tuple[int, ...]]:
        shapes = [list(shape) for shape in self.shapes[layer.name]]
        for shape, slices in zip(shapes, weight_slices(layer, cut), strict=False):
            for axis, kept in slices:
                shape[axis] = len(kept)
        return [tuple(shape) for shape in shapes]


def rebuild(model: keras.Model, cut: Cut) -> keras.Model:
    """A new model of the same layers, names and options, with only the channels that `cut` keeps.

    Args:
        model: it is not changed.
        cut: the positions that stay.
    """
    narrow = copied(model, lambda layer: _narrow_layer(layer, cut))
    new = {layer.name: layer for layer in narrow.layers}
    for layer in model.layers:
        weights = layer.get_weights()
        if weights:
            new[layer.name].set_weights(_sliced(weights, weight_slices(layer, cut)))
    return narrow


def _narrow_layer(layer: Any, cut: Cut) -> Any:
    config = layer.get_config()
    kept = cut.outputs.get(layer.name)
    if kept is None:
        return type(layer).from_config(config)
    if isinstance(layer, layers.Dense):
        config["units"] = len(kept)
    elif isinstance(layer, layers.Reshape) and config["target_shape"][-1] != -1:
        config["target_shape"] = (*config["target_shape"][:-1], len(kept))
    elif type(layer) in (layers.Conv2D, layers.SeparableConv2D):
        config["filters"] = len(kept)
    if type(layer) is layers.Conv2D and _one_channel_a_filter(layer):
        config["groups"] = len(cut.inputs[layer.name])
    return type(layer).from_config(config)


def _one_channel_a_filter(layer: Any) -> bool:
    return bool(layer.groups > 1 and layer.kernel.shape[-2] == 1)


def _sliced(weights: list[Any], slices: Slices) -> list[Any]:
    result = list(weights)
    for index, axes in enumerate(slices):
        for axis, kept in axes:
            result[index] = np.take(result[index], kept, axis=axis)
    return result


def weight_slices(layer: Any, cut: Cut) -> Slices:
    """The positions that stay along the axes of a layer's weights, in the order of `get_weights`."""
    if layer.name not in cut.inputs or isinstance(layer, layers.Reshape):
        return []
    inputs = cut.inputs[layer.name]
    if isinstance(layer, (layers.BatchNormalization, layers.PReLU)):
        return [[(len(weight.shape) - 1, inputs)] for weight in layer.weights]
    outputs = cut.outputs[layer.name]
    return [*_kernel_slices(layer, inputs, outputs), *([[(0, outputs)]] if layer.use_bias else [])]


def _kernel_slices(layer: Any, inputs: Indices, outputs: Indices) -> Slices:
    if isinstance(layer, layers.Dense):
        return [[(0, inputs), (1, outputs)]]
    if isinstance(layer, layers.DepthwiseConv2D):
        return [[(2, inputs)]]
    if isinstance(layer, layers.SeparableConv2D):
        multiplier = layer.depth_multiplier
        pointwise = (inputs[:, np.newaxis] * multiplier + np.arange(multiplier)).ravel()
        return [[(2, inputs)], [(2, pointwise), (3, outputs)]]
    if isinstance(layer, layers.Conv2DTranspose):
        return [[(2, outputs), (3, inputs)]]
    if layer.groups == 1:
        return [[(2, inputs), (3, outputs)]]
    if _one_channel_a_filter(layer):
        return [[(3, outputs)]]
    # All groups keep the same places: those of the first group are enough.
    return [[(2, inputs[: per_group(layer, len(inputs))]), (3, outputs)]]
