"""Compile a model for training: optimizer with its schedule, loss, metrics.

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
    model: keras.Model,
    train_spec: TrainSpec,
    batches: int,
    teacher: keras.Model | None = None,
    restart: int = 0,
) -> keras.Model:
    """Attach optimizer with its schedule, smoothed cross-entropy and accuracy.

    Args:
        model: it is compiled.
        train_spec: `train` or `retrain`.
        batches: number of batches per epoch.
        teacher: the model to learn from, if the section has `distill`.
        restart: the finished epochs before the schedule began again.

    Returns:
        The model to fit: the model itself, or one around it that also learns from the teacher.

    On a CPU XLA is off with TensorFlow, since its convolutions are ten times slower there; JAX needs XLA.
    """
    on_cpu = keras.backend.backend() == "tensorflow" and not has_gpu()
    jit_compile = False if on_cpu else "auto"
    model.compile(
        optimizer=optimizer_of(train_spec.optim_config, RateTable(train_spec, batches, restart)),
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
    """Make the metrics' variables now: Keras makes them with the first batch, but resuming needs them before."""
    learner.compute_metrics(
        None, np.eye(1, classes, dtype="float32"), np.ones((1, *learner.output_shape[1:]), "float32")
    )
    learner.reset_metrics()


def has_gpu() -> bool:
    """Whether the backend sees a GPU."""
    # JAX raises an error if it is asked for a kind of device that it does not have.
    return not all(name.lower().startswith("cpu") for name in keras.distribution.list_devices())
