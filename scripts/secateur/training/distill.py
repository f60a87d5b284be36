"""Knowledge distillation: the pruned network also learns from the answers of the unpruned one.

Hinton, Vinyals and Dean, arXiv:1503.02531: a temperature T softens both softmax outputs. Their divergence is added to
the loss, times T squared, so that the size of its gradient does not depend on T.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from secateur.errors import ModelError
from secateur.models.graph import copied
from secateur.spec import DistillSpec

SMALLEST_PROBABILITY = 1e-7
NOISE = (layers.Dropout, layers.SpatialDropout2D, layers.GaussianDropout, layers.GaussianNoise)


def with_teacher(student: keras.Model, teacher: keras.Model) -> keras.Model:
    """A network with the answers of both: [batch, 2 * classes], the student's probabilities first.

    Args:
        student: its weights are shared, and the only ones that train.
        teacher: softmax output of the same classes; frozen here.

    Raises:
        ModelError: the two have different inputs or outputs.
    """
    for what in ("input_shape", "output_shape"):
        own, other = getattr(student, what), getattr(teacher, what)
        if own != other:
            raise ModelError(
                f"retrain.distill: the teacher's {what} is {other}, the pruned model's {own}",
                "remove retrain.distill, or prune the model that was trained",
            )
    frozen = _as_in_inference(teacher)
    learner = keras.Model(student.inputs[0], student.outputs[0], name="student")
    images = keras.Input(student.input_shape[1:])
    answers = [learner(images), frozen(images)]
    return keras.Model(images, keras.layers.Concatenate()(answers), name="distillation")


def _as_in_inference(teacher: keras.Model) -> keras.Model:
    """A frozen copy that gives the same answers in training. Keras passes `training=True` to all layers inside."""
    copy = copied(teacher, lambda layer: layers.Identity(name=layer.name) if isinstance(layer, NOISE) else _same(layer))
    copy.set_weights(teacher.get_weights())
    frozen = keras.Model(copy.inputs[0], copy.outputs[0], name="teacher")
    frozen.trainable = False  # batch normalisations then use their moving statistics
    return frozen


def _same(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())


class DistillationLoss(keras.losses.Loss):  # type: ignore[misc]
    """The loss: (1 - alpha) times the cross-entropy with the labels, plus alpha times the teacher's part.

    Args:
        distill_spec: the `distill` section.
        label_smoothing: for the labels.
    """

    def __init__(self, distill_spec: DistillSpec, label_smoothing: float) -> None:
        super().__init__(name="distillation")
        self.distill_spec, self.label_smoothing = distill_spec, label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each image.

        Args:
            y_true: one-hot labels [batch, classes].
            y_pred: [batch, 2 * classes] of `with_teacher`.
        """
        student, teacher = ops.split(y_pred, 2, axis=-1)
        hard = keras.losses.categorical_crossentropy(y_true, student, label_smoothing=self.label_smoothing)
        soft = self._divergence(ops.stop_gradient(teacher), student)
        return (1 - self.distill_spec.alpha) * hard + self.distill_spec.alpha * soft

    def _divergence(self, teacher: Any, student: Any) -> Any:
        temperature = self.distill_spec.temperature
        wanted, given = (_log_softened(answers, temperature) for answers in (teacher, student))
        return temperature**2 * ops.sum(ops.exp(wanted) * (wanted - given), axis=-1)


def _log_softened(probabilities: Any, temperature: float) -> Any:
    """The softmax of logits divided by the temperature. Logarithms replace the logits; they differ by a constant."""
    return ops.log_softmax(ops.log(ops.maximum(probabilities, SMALLEST_PROBABILITY)) / temperature, axis=-1)


def student_accuracy(y_true: Any, y_pred: Any) -> Any:
    """The categorical accuracy of the student's half."""
    return keras.metrics.categorical_accuracy(y_true, ops.split(y_pred, 2, axis=-1)[0])
