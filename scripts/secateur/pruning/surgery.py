"""Rebuild a model with some channels gone. What stays is the same numbers, bit for bit."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from secateur.network import copied
from secateur.pruning.graph import ChannelGraph

Indices = NDArray[np.int64]


class Cut:
    """Which positions of each layer's axes stay.

    Args:
        graph: the model's channels.
        removed: identity roots of the channels that go.
    """

    def __init__(self, graph: ChannelGraph, removed: set[int]) -> None:
        self.graph = graph
        self.removed = np.array(sorted(removed), dtype=np.int64)
        roots = graph.ids.roots
        self.inputs = {name: self._kept(roots(channels)) for name, channels in graph.consumed.items()}
        self.outputs = {
            name: self._kept(roots(channels)) for name, channels in {**graph.produced, **graph.reshaped}.items()
        }

    def _kept(self, roots: Indices) -> Indices:
        return np.flatnonzero(~np.isin(roots, self.removed))


def rebuild(model: keras.Model, cut: Cut) -> keras.Model:
    """A new model of the same layers, names and options, narrower where `cut` says so.

    Args:
        model: left as it is.
        cut: what stays.
    """
    narrow = copied(model, lambda layer: _narrow_layer(layer, cut))
    for layer in model.layers:
        weights = layer.get_weights()
        if weights:
            narrow.get_layer(layer.name).set_weights(_sliced(layer, weights, cut))
    return narrow


def _narrow_layer(layer: Any, cut: Cut) -> Any:
    config = layer.get_config()
    kept = cut.outputs.get(layer.name)
    if kept is not None:
        if type(layer) is layers.Conv2D:
            config["filters"] = len(kept)
        elif isinstance(layer, layers.Dense):
            config["units"] = len(kept)
        elif isinstance(layer, layers.Reshape) and config["target_shape"][-1] != -1:
            config["target_shape"] = (*config["target_shape"][:-1], len(kept))
    return type(layer).from_config(config)


def _sliced(layer: Any, weights: list[Any], cut: Cut) -> list[Any]:
    """The layer's weights without the removed input and output positions."""
    if layer.name not in cut.inputs:
        return weights
    inputs = cut.inputs[layer.name]
    if isinstance(layer, layers.BatchNormalization):
        return [vector[inputs] for vector in weights]
    kernel, *biases = weights
    outputs = cut.outputs[layer.name]
    if isinstance(layer, layers.DepthwiseConv2D):
        kernel = kernel[:, :, inputs]
    elif isinstance(layer, layers.Conv2DTranspose):
        kernel = kernel[:, :, :, inputs]
    else:
        kernel = np.take(np.take(kernel, inputs, axis=-2), outputs, axis=-1)
    return [kernel, *(bias[outputs] for bias in biases)]
