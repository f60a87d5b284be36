"""Where a network looks: Grad-CAM (Selvaraju et al., arXiv:1610.02391).

The last feature maps that have a width and a height, each weighted by the mean of the gradient of a class's score
before the softmax, summed up, and cut off below zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from secateur.errors import ModelError
from secateur.models.graph import Call, calls_of, copied

NO_MAP = "no layer of this network has a map through which all of it flows: Grad-CAM has nothing to show"


class GradCam:
    """Maps of what speaks for a class.

    Args:
        model: one image in, probabilities of classes out; it is not changed.

    Attributes:
        layer: name of the layer whose maps are used.

    Raises:
        ModelError: it has several inputs or outputs, no such layer, or a backend without gradients here.
    """

    def __init__(self, model: keras.Model) -> None:
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise ModelError("Grad-CAM needs a model with one input and one output", "")
        copy = copied(model)
        copy.set_weights(model.get_weights())
        self.layer, maps, scores = _parts_of(copy)
        self.size = tuple(model.input_shape[1:3])
        self.maps = keras.Model(copy.inputs[0], maps)
        self.gradient = _gradient_function(scores)

    def __call__(self, pixels: NDArray[np.float32], classes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Saliency, float32 [images, height, width], 0 where nothing speaks for the class and 1 where most does.

        Args:
            pixels: network input, float32 [images, height, width, channels].
            classes: index of the class to explain, one an image.
        """
        maps = keras.ops.convert_to_numpy(self.maps(pixels, training=False))
        gradient = np.asarray(self.gradient(maps, classes))
        weighted = np.maximum((maps * gradient.mean(axis=(1, 2), keepdims=True)).sum(axis=-1), 0)
        whole = [cv2.resize(one, self.size[::-1], interpolation=cv2.INTER_CUBIC) for one in weighted]
        clipped = np.maximum(np.stack(whole), 0)
        return np.asarray(clipped / np.maximum(clipped.max(axis=(1, 2), keepdims=True), 1e-12), np.float32)


def _parts_of(model: keras.Model) -> tuple[str, Any, keras.Model]:
    """The last layer with a map that alone feeds what follows; its output; the model from there to the scores."""
    calls = [call for call in calls_of(model) if not isinstance(call.layer, keras.layers.InputLayer)]
    # Looked up first: each model that is made of a part of the graph gives its layers one more output.
    tensors = {call.layer.name: call.layer.output for call in calls if _has_map(call)}
    for name, tensor in reversed(tensors.items()):
        try:
            return name, tensor, _before_softmax(keras.Model(tensor, model.outputs[0]))
        except ValueError:
            continue  # something else feeds the rest too
    raise ModelError(NO_MAP, "")


def _has_map(call: Call) -> bool:
    """Whether it makes one tensor with channels, and more than one place along its width and its height."""
    if len(call.outputs) != 1 or len(call.layer._inbound_nodes) != 1:
        return False
    shape = call.output_shapes[0]
    return len(shape) == 4 and all(side is not None and side > 1 for side in shape[1:3])


def _before_softmax(tail: keras.Model) -> keras.Model:
    """The same model without the softmax at its end: certain answers have no gradient behind it."""
    last, node, _ = tail.outputs[0]._keras_history
    given = last._inbound_nodes[node].input_tensors[0]
    if isinstance(last, keras.layers.Softmax) or (
        isinstance(last, keras.layers.Activation) and last.activation is keras.activations.softmax
    ):
        return keras.Model(tail.inputs[0], given)
    if isinstance(last, keras.layers.Dense) and last.activation is keras.activations.softmax:
        plain = keras.layers.Dense.from_config({**last.get_config(), "activation": "linear", "name": "scores"})
        scores = plain(given)
        plain.set_weights(last.get_weights())
        return keras.Model(tail.inputs[0], scores)
    return tail


def _gradient_function(scores: keras.Model) -> Callable[[Any, Any], Any]:
    """Maps and class indices -> the gradient of the classes' scores at the maps."""

    def chosen(maps: Any, classes: Any) -> Any:
        return keras.ops.sum(scores(maps, training=False) * keras.ops.one_hot(classes, scores.output_shape[-1]))

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415 - Keras has no gradients of its own

        def of_tensorflow(maps: Any, classes: Any) -> Any:
            given = tf.convert_to_tensor(maps)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(given)
                value = chosen(given, classes)
            return tape.gradient(value, given)

        return of_tensorflow
    if keras.backend.backend() == "jax":
        import jax  # noqa: PLC0415

        return jax.grad(chosen)  # type: ignore[no-any-return]
    raise ModelError(f"Grad-CAM has no gradients on the backend '{keras.backend.backend()}'", "use tensorflow or jax")
