"""First-order estimate of the change of the loss without a channel (`importance: taylor`).

Molchanov et al., Importance Estimation for Neural Network Pruning, arXiv:1906.10771: every channel gets a gate of 1,
and the importance is the square of the loss's gradient at the gate. Here the gates are where channels are read, before
each convolution and dense layer, which covers any topology. The gradients of all readers of a channel are added, and
so are those of all channels tied to it, before they are squared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from secateur.errors import ModelError
from secateur.models.graph import TensorId, calls_of, copied, outputs_of
from secateur.pruning.channel_graph import ChannelGraph

BATCH_SIZE = 16


@dataclass(frozen=True)
class LabelledImages:
    """Attributes:
    pixels: float32 [images, height, width, channels], the input of the network.
    labels: one-hot, float32 [images, classes].
    """

    pixels: NDArray[np.float32]
    labels: NDArray[np.float32]


def taylor_importance(model: keras.Model, graph: ChannelGraph, images: LabelledImages) -> NDArray[np.float64]:
    """The mean of the squared gate gradient over the images.

    Args:
        model: one input, softmax output; it is not changed.
        graph: its channels.
        images: training images.

    Returns:
        float64, one entry per identity; only the entries of roots have a meaning.

    Raises:
        ModelError: the model has several inputs or outputs, or the backend has no gradients here.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError("importance taylor needs a model with one input and one output", "use importance l2")
    gated, readers = _gated(model, graph)
    gradients = _gradient_function(gated, [len(graph.consumed[name]) for name in readers])
    total = np.zeros(len(graph.ids))
    for start in range(0, len(images.pixels), BATCH_SIZE):
        chosen = slice(start, start + BATCH_SIZE)
        by_reader = gradients(images.pixels[chosen], images.labels[chosen])
        effect = np.zeros((len(total), len(images.pixels[chosen])))
        for name, gradient in zip(readers, by_reader, strict=True):
            np.add.at(effect, graph.ids.roots(graph.consumed[name]), np.asarray(gradient, np.float64).T)
        total += np.square(effect).sum(axis=1)
    return total / len(images.pixels)


def _gated(model: keras.Model, graph: ChannelGraph) -> tuple[keras.Model, list[str]]:
    """A copy of the model with one more input per reader: a factor for each channel that it reads."""
    copy = copied(model)
    copy.set_weights(model.get_weights())
    tensors: dict[TensorId, Any] = {}
    gates, readers = [], []
    for call in calls_of(copy):
        if isinstance(call.layer, keras.layers.InputLayer):
            tensors[call.outputs[0]] = copy.inputs[0]
            continue
        inputs = [tensors[tensor] for tensor in call.inputs]
        if call.layer.name in graph.ends:
            gate = keras.Input((inputs[0].shape[-1],))
            gates.append(gate)
            readers.append(call.layer.name)
            inputs = [inputs[0] * keras.ops.reshape(gate, (-1, *(1,) * (len(inputs[0].shape) - 2), gate.shape[-1]))]
        outputs = call.layer(inputs if len(inputs) > 1 else inputs[0])
        for tensor, output in zip(call.outputs, keras.tree.flatten(outputs), strict=True):
            tensors[tensor] = output
    return keras.Model([copy.inputs[0], *gates], tensors[outputs_of(copy)[0]]), readers


def _gradient_function(gated: keras.Model, widths: list[int]) -> Callable[[Any, Any], Any]:
    """A function from images and labels to the gradients of the loss at the gates, each [images, channels]."""

    def loss(images: Any, labels: Any, gates: list[Any]) -> Any:
        answers = gated([images, *gates], training=False)
        return keras.ops.sum(keras.losses.categorical_crossentropy(labels, answers))

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415 - Keras has no gradients of its own

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def of_tensorflow(images: Any, labels: Any) -> Any:
            gates = [tf.ones((tf.shape(images)[0], width)) for width in widths]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(gates)
                value = loss(images, labels, gates)
            return tape.gradient(value, gates)

        return of_tensorflow  # type: ignore[no-any-return]
    if keras.backend.backend() == "jax":
        import jax  # noqa: PLC0415

        gradient = jax.jit(jax.grad(loss, argnums=2))
        return lambda images, labels: gradient(images, labels, [np.ones((len(images), w), np.float32) for w in widths])
    raise ModelError(
        f"importance taylor has no gradients on the backend '{keras.backend.backend()}'", "use tensorflow or jax"
    )
