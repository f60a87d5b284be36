"""The training loop: epochs, validation, checkpoints, the best model."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import keras

from secateur.errors import ModelError
from secateur.spec import RetrainSpec, TrainSpec
from secateur.training.checkpoints import TrainingState, forget_checkpoint, read_checkpoint, write_checkpoint
from secateur.training.distill import DistillationLoss, student_accuracy, with_teacher
from secateur.training.optimizers import optimizer_of
from secateur.training.progress import Progress
from secateur.training.rates import RateTable, rate_of_batch

EpochBatches = Callable[[int], keras.utils.PyDataset]


@dataclass
class Trainer:
    """Trains one model as one `train` section says.

    Attributes:
        model: functional, softmax output; it is compiled and changed.
        section: `train` or `retrain`.
        batches: epoch from 0 -> that epoch's batches of (images, one-hot labels).
        validation: batches to choose the best epoch by.
        images: number of training images.
        step: name for people.
        stream: where progress goes.
        checkpoints: folder for them; None keeps none.
        key: pass phrase of checkpoints.
        identity: digests that a checkpoint must share with this run.
        on_epoch: is told each row of the history.
        teacher: the network to learn from, where the section has `distill`.
    """

    model: keras.Model
    section: TrainSpec
    batches: EpochBatches
    validation: keras.utils.PyDataset
    images: int
    step: str = "train"
    stream: IO[str] = field(default_factory=lambda: sys.stderr)
    checkpoints: Path | None = None
    key: str = ""
    identity: dict[str, str] = field(default_factory=dict)
    on_epoch: Callable[[dict[str, float], float], None] = lambda row, seconds: None
    teacher: keras.Model | None = None

    def run(self) -> TrainingState:
        """Train to the last epoch, from a checkpoint when there is one; the model ends with its best weights.

        Raises:
            ModelError: the loss is no longer a number.
            SpecError, VaultError: the checkpoint cannot be continued.
        """
        learner = compile_for_training(self.model, self.section, len(self.batches(0)), self.teacher)
        state = TrainingState()
        if self.checkpoints:
            state = read_checkpoint(self.checkpoints, self.key, self._variables(learner), self.identity)
        if state.epoch:
            print(f"{self.step}  resuming after epoch {state.epoch}", file=self.stream, flush=True)
        progress = Progress(self.step, self.section.num_epochs, self.images, self.stream, state.epoch)
        while state.epoch < self.section.num_epochs:
            self._epoch(learner, state, progress)
        state.last_weights = self.model.get_weights()
        self.model.set_weights(state.best_weights)
        return state

    def finish(self) -> None:
        """Drop the checkpoint, once the model is safely written."""
        if self.checkpoints:
            forget_checkpoint(self.checkpoints)

    def _variables(self, learner: keras.Model) -> list[Any]:
        """All that changes while training: weights, states of random generators, optimizer slots."""
        optimizer: Any = learner.optimizer
        return list({id(variable): variable for variable in [*self.model.variables, *optimizer.variables]}.values())

    def _epoch(self, learner: keras.Model, state: TrainingState, progress: Progress) -> None:
        started = time.monotonic()
        batches = self.batches(state.epoch)
        logs = learner.fit(
            batches,
            initial_epoch=state.epoch,
            epochs=state.epoch + 1,
            shuffle=False,
            verbose=0,
            callbacks=[progress],
        ).history
        seconds = time.monotonic() - started
        state.epoch += 1
        row = {
            "epoch": state.epoch,
            "accuracy": logs["accuracy"][0],
            "loss": logs["loss"][0],
            "lr": rate_of_batch(self.section, state.epoch * len(batches) - 1, len(batches)),
            **self._validate(state.epoch),
        }
        self._require_finite(row)
        state.history.append(row)
        self._remember_best(state, row)
        if self.checkpoints and state.epoch % self.section.checkpoint_interval == 0:
            write_checkpoint(self.checkpoints, self.key, self._variables(learner), state, self.identity)
        progress.report(row, seconds)
        self.on_epoch(row, seconds)

    def _validate(self, epoch: int) -> dict[str, Any]:
        if epoch % self.section.validation_interval and epoch < self.section.num_epochs:
            return {"val_accuracy": None, "val_loss": None}
        logs = self.model.evaluate(self.validation, return_dict=True, verbose=0)
        return {"val_accuracy": logs["accuracy"], "val_loss": logs["loss"]}

    def _require_finite(self, row: dict[str, float]) -> None:
        if not math.isfinite(row["loss"]):
            raise ModelError(
                f"{self.step}: the loss is {row['loss']} in epoch {row['epoch']:.0f}",
                f"lower {self.step}.lr_config.learning_rate",
            )

    def _remember_best(self, state: TrainingState, row: dict[str, Any]) -> None:
        if row["val_accuracy"] is None:
            return
        loss = row["val_loss"] if math.isfinite(row["val_loss"]) else math.inf
        score = (row["val_accuracy"], -loss)
        if score > state.best_score or not state.best_epoch:
            state.best_epoch, state.best_score, state.best_weights = state.epoch, score, self.model.get_weights()


def compile_for_training(
    model: keras.Model, section: TrainSpec, batches: int, teacher: keras.Model | None = None
) -> keras.Model:
    """Attach optimizer with its schedule, smoothed cross-entropy and accuracy.

    Args:
        model: it is compiled.
        section: `train` or `retrain`.
        batches: number of batches an epoch.
        teacher: where the section has `distill`.

    Returns:
        What to fit: the model, or one around it that learns from the teacher too.

    XLA's convolutions on a CPU are ten times slower than TensorFlow's own, so it is off there; JAX needs it.
    """
    on_cpu = keras.backend.backend() == "tensorflow" and not has_gpu()
    jit_compile = False if on_cpu else "auto"
    model.compile(
        optimizer=optimizer_of(section.optim_config, RateTable(section, batches)),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=section.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=jit_compile,
    )
    learner = model
    if isinstance(section, RetrainSpec) and section.distill and teacher is not None:
        learner = with_teacher(model, teacher)
        learner.compile(
            optimizer=model.optimizer,
            loss=DistillationLoss(section.distill, section.label_smoothing),
            metrics=[keras.metrics.MeanMetricWrapper(student_accuracy, name="accuracy")],
            jit_compile=jit_compile,
        )
    optimizer: Any = learner.optimizer
    optimizer.build(learner.trainable_variables)
    return learner


def has_gpu() -> bool:
    """Whether the backend sees a GPU."""
    return bool(keras.distribution.list_devices("gpu"))
