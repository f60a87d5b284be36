"""Grad-CAM heat maps (Selvaraju et al., arXiv:1610.02391).

The last feature maps with a width and a height are weighted by the mean gradient of a class's score before the
softmax, added up, and cut off below zero.
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

NO_MAP = "Grad-CAM cannot explain this network: no single feature map feeds its output"


class GradCam:
    """Makes heat maps of the regions that support a class.

    Args:
        model: it takes one image and returns class probabilities; it is not changed.

    Attributes:
        layer: name of the layer whose maps are used.

    Raises:
        ModelError: the model has several inputs or outputs or no such layer, or the backend has no gradients here.
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
        """Heat maps, float32 [images, height, width]: 0 for no support of the class, 1 for the strongest.

        Args:
            pixels: network input, float32 [images, height, width, channels].
            classes: index of the class to explain, one per image.
        """
        maps = keras.ops.convert_to_numpy(self.maps(pixels, training=False))
        gradient = np.asarray(self.gradient(maps, classes))
        weighted = np.maximum((maps * gradient.mean(axis=(1, 2), keepdims=True)).sum(axis=-1), 0)
        whole = [cv2.resize(one, self.size[::-1], interpolation=cv2.INTER_CUBIC) for one in weighted]
        clipped = np.maximum(np.stack(whole), 0)
        return np.asarray(clipped / np.maximum(clipped.max(axis=(1, 2), keepdims=True), 1e-12), np.float32)


def _parts_of(model: keras.Model) -> tuple[str, Any, keras.Model]:
    """The last layer whose map alone feeds all later layers; its output; the model from there to the scores."""
    calls = [call for call in calls_of(model) if not isinstance(call.layer, keras.layers.InputLayer)]
    # Collected first: each model made from a part of the graph adds one more output to its layers.
    tensors = {call.layer.name: call.layer.output for call in calls if _has_map(call)}
    for name, tensor in reversed(tensors.items()):
        try:
            return name, tensor, _before_softmax(keras.Model(tensor, model.outputs[0]))
        except ValueError:
            continue  # another tensor feeds the later layers too
    raise ModelError(NO_MAP, "")


def _has_map(call: Call) -> bool:
    """Whether a layer makes one tensor with channels, and with a width and a height above 1."""
    if len(call.outputs) != 1 or len(call.layer._inbound_nodes) != 1:
        return False
    shape = call.output_shapes[0]
    return len(shape) == 4 and all(side is not None and side > 1 for side in shape[1:3])


def _before_softmax(tail: keras.Model) -> keras.Model:
    """The same model without its last softmax, behind which certain answers have no gradient."""
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
    """A function from maps and class indices to the gradient of the classes' scores at the maps."""

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
