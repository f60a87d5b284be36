"""Make a model ready to be fitted: optimizer with its schedule, loss, metrics.

See docs/decisions/keras-backends.md.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from secateur.spec import RetrainSpec, TrainSpec
from secateur.training.distill import DistillationLoss, student_accuracy, with_teacher
from secateur.training.optimizers import optimizer_of
from secateur.training.rates import RateTable


def compile_for_training(
    model: keras.Model, train_spec: TrainSpec, batches: int, teacher: keras.Model | None = None
) -> keras.Model:
    """Attach optimizer with its schedule, smoothed cross-entropy and accuracy.

    Args:
        model: it is compiled.
        train_spec: `train` or `retrain`.
        batches: number of batches an epoch.
        teacher: where the section has `distill`.

    Returns:
        What to fit: the model, or one around it that learns from the teacher too.

    XLA's convolutions on a CPU are ten times slower than TensorFlow's own, so it is off there; JAX needs it.
    """
    on_cpu = keras.backend.backend() == "tensorflow" and not has_gpu()
    jit_compile = False if on_cpu else "auto"
    model.compile(
        optimizer=optimizer_of(train_spec.optim_config, RateTable(train_spec, batches)),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=train_spec.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=jit_compile,
    )
    learner = model
    if isinstance(train_spec, RetrainSpec) and train_spec.distill and teacher is not None:
        learner = with_teacher(model, teacher)
        learner.compile(
            optimizer=model.optimizer,
            loss=DistillationLoss(train_spec.distill, train_spec.label_smoothing),
            metrics=[keras.metrics.MeanMetricWrapper(student_accuracy, name="accuracy")],
            jit_compile=jit_compile,
        )
    optimizer: Any = learner.optimizer
    optimizer.build(learner.trainable_variables)
    _build_metrics(learner, model.output_shape[-1])
    return learner


def _build_metrics(learner: keras.Model, classes: int) -> None:
    """Keras makes the metrics' variables with the first batch; a training that goes on must set them before it."""
    learner.compute_metrics(
        None, np.eye(1, classes, dtype="float32"), np.ones((1, *learner.output_shape[1:]), "float32")
    )
    learner.reset_metrics()


def has_gpu() -> bool:
    """Whether the backend sees a GPU."""
    # Asking JAX for a kind of device that it does not have is an error.
    return not all(name.lower().startswith("cpu") for name in keras.distribution.list_devices())
