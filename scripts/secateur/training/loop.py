"""The training loop: epochs, validation, checkpoints, the best model."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import keras
import numpy as np

from secateur.data.pipeline import Part
from secateur.errors import InterruptedRunError, ModelError
from secateur.runtime.semaphores import NONE, have_semaphores
from secateur.runtime.signals import StopRequest
from secateur.spec import TrainSpec
from secateur.storage.atomic import require_space
from secateur.training.checkpoints import KEPT, Checkpoints, Stored, TrainingState
from secateur.training.compiling import compile_for_training, has_gpu
from secateur.training.distribution import laid_out, parts_of
from secateur.training.extension import extension
from secateur.training.hosts import any_of, joined
from secateur.training.progress import Progress
from secateur.training.rates import rate_of_batch

EpochBatches = Callable[[int], keras.utils.PyDataset]
# Reading the loss makes the GPU wait, so it is not read after every batch.
BATCHES_BETWEEN_LOOKS = 20
NOT_TO_THE_BIT = " (this device may round differently from the run before)"


@dataclass
class Trainer:
    """Trains one model as one `train` section says.

    Attributes:
        model: functional, softmax output; it is compiled and changed.
        train_spec: `train` or `retrain`.
        batches: epoch from 0 -> that epoch's batches of (images, one-hot labels).
        validation: batches that decide the best epoch.
        images: number of training images.
        step: name for messages.
        stream: receives the progress.
        checkpoints: None keeps none.
        on_epoch: receives each row of the history.
        teacher: the network to learn from, if the section has `distill`.
        on_notice: receives what is said of an earlier training of another number of epochs.
    """

    model: keras.Model
    train_spec: TrainSpec
    batches: EpochBatches
    validation: keras.utils.PyDataset
    images: int
    step: str = "train"
    stream: IO[str] = field(default_factory=lambda: sys.stderr)
    checkpoints: Checkpoints | None = None
    on_epoch: Callable[[dict[str, float], float], None] = lambda row, seconds: None
    teacher: keras.Model | None = None
    on_notice: Callable[[str], None] = lambda words: None

    def run(self) -> TrainingState:
        """Train to the last epoch, from a checkpoint if there is one. At the end the model has its best weights.

        The result of a training of fewer epochs is gone on with, where the learning rates allow it.

        Raises:
            InterruptedRunError: a signal stopped the training; a checkpoint was written before.
            ModelError: the loss is NaN or infinite, or the memory of the device is too small.
            SpecError, VaultError: the training cannot resume from the checkpoint.
            ArtifactError: the disk is too full for checkpoints.
        """
        result = self.checkpoints.finished(self.stream) if self.checkpoints else None
        if result is not None and result.epochs is None:
            state = result.state
            state.last_weights = state.last_weights or weights_among(self.model, state.variables)
            print(
                f"{self.step}  was trained before with these settings; delete {self._folder} to train again",
                file=self.stream,
            )
        else:
            if not have_semaphores():
                print(f"{self.step}  {NONE}", file=self.stream, flush=True)
            with StopRequest() as stop:
                session = _Session(self, stop, result)
                state = session.run()
            state.last_weights, state.variables = self.model.get_weights(), session.values()
        self.model.set_weights(state.best_weights)
        return state

    def finish(self, state: TrainingState) -> None:
        """Replace the checkpoints by the result, after the model was written."""
        if self.checkpoints:
            self.checkpoints.finish(state)

    @property
    def _folder(self) -> Path | None:
        return self.checkpoints.folder if self.checkpoints else None


class _Session:
    """The part of a training that one process runs.

    An epoch is trained in pieces. A piece ends between two batches, for a checkpoint or because of a signal; the next
    piece starts there, in this process or in a later one.
    """

    def __init__(self, trainer: Trainer, stop: StopRequest, finished: Stored | None = None) -> None:
        self.trainer, self.train_spec, self.stop = trainer, trainer.train_spec, stop
        batches = len(trainer.batches(0))
        stored, restart = self._stored(finished, batches)
        self.learner = compile_for_training(trainer.model, trainer.train_spec, batches, trainer.teacher, restart)
        self.state = self._resumed(stored)
        self.state.restart = restart
        self.progress = Progress(
            trainer.step,
            self.train_spec.num_epochs,
            trainer.images,
            self.train_spec.batch_size,
            trainer.stream,
            self.state.epoch,
        )
        self.saved = time.monotonic()
        self.stopping = False

    def run(self) -> TrainingState:
        while self.state.epoch < self.train_spec.num_epochs:
            self._epoch()
        return self.state

    def values(self) -> list[Any]:
        """The values of all variables that training changes."""
        return [np.array(variable) for variable in self._variables()] if self.trainer.checkpoints else []

    def _stored(self, finished: Stored | None, batches: int) -> tuple[Stored | None, int]:
        """The file to go on from, and the finished epochs before the schedule began again."""
        trainer = self.trainer
        unfinished = trainer.checkpoints.load(trainer.stream) if trainer.checkpoints else None
        if unfinished is not None or finished is None or finished.epochs is None:
            return unfinished, unfinished.about.restart if unfinished else 0
        found = extension(trainer.step, self.train_spec, finished.state, finished.epochs, batches)
        print(f"{'' if found.goes_on else 'warning: '}{trainer.step}  {found.words}", file=trainer.stream, flush=True)
        trainer.on_notice(found.words)
        return (finished, found.restart) if found.goes_on else (None, 0)

    def _resumed(self, stored: Stored | None) -> TrainingState:
        trainer = self.trainer
        if trainer.checkpoints is None:
            return TrainingState()
        variables = self._variables()
        state = TrainingState() if stored is None else trainer.checkpoints.restore(stored, variables)
        if state.epoch or state.batch:
            where = f"after epoch {state.epoch}" + (f", batch {state.batch}" if state.batch else "")
            exact = NOT_TO_THE_BIT if has_gpu() else ""
            print(f"{trainer.step}  resuming {where}{exact}", file=trainer.stream, flush=True)
        # The kept checkpoints and the one being written, each with the best weights; then the best and the last model.
        whole = sum(np.asarray(variable).nbytes for variable in variables)
        model = sum(weight.nbytes for weight in trainer.model.get_weights())
        require_space(trainer.checkpoints.folder, (KEPT + 1) * (whole + model) + 2 * model, "the checkpoints")
        return state

    def _variables(self) -> list[Any]:
        """All variables that training changes: weights, states of random generators, optimizer slots."""
        optimizer: Any = self.learner.optimizer
        variables = [*self.trainer.model.variables, *optimizer.variables]
        return list({id(variable): variable for variable in variables}.values())

    def _epoch(self) -> None:
        state, started = self.state, time.monotonic()
        batches = self.trainer.batches(state.epoch)
        images = self.trainer.images - state.batch * self.train_spec.batch_size
        while state.batch < len(batches):
            self._piece(batches)
            if state.batch < len(batches) and self._asked():
                self._save()
        validating = time.monotonic()
        validation = self._validate(state.epoch + 1)
        state.seconds += time.monotonic() - validating
        seconds = time.monotonic() - started
        state.epoch, state.batch, state.metrics = state.epoch + 1, 0, []
        rate = rate_of_batch(self.train_spec, state.epoch * len(batches) - 1, len(batches), state.restart)
        row = {"epoch": state.epoch, **state.logs, "lr": rate, **validation}
        state.history.append(row)
        self._remember_best(row)
        self.progress.report(row, seconds, images)
        self.trainer.on_epoch(row, seconds)
        last = state.epoch == self.train_spec.num_epochs
        asked = self._asked()
        if last or state.epoch % self.train_spec.checkpoint_interval == 0 or asked:
            self._save()

    def _piece(self, batches: keras.utils.PyDataset) -> None:
        """Train to the end of the epoch, or to the batch where the piece must end."""
        state, started = self.state, time.monotonic()
        part = next(part for part in parts_of(batches) if part.end > state.batch)
        watch = _Watch(self._asked, state.metrics)
        self.progress.first_batch = state.batch
        with memory_errors(self.trainer), laid_out(part):
            logs = self.learner.fit(
                Part(batches, state.batch, part.end, part.share),
                initial_epoch=state.epoch,
                epochs=state.epoch + 1,
                shuffle=False,
                verbose=0,
                callbacks=[self.progress, watch],
            ).history
        state.batch += watch.done
        state.seconds += time.monotonic() - started
        state.metrics = [np.array(variable) for variable in self.learner.metrics_variables]
        state.logs = {"accuracy": logs["accuracy"][0], "loss": logs["loss"][0]}
        if not math.isfinite(state.logs["loss"]):
            raise self._lost()

    def _lost(self) -> ModelError:
        step, checkpoints = self.trainer.step, self.trainer.checkpoints
        kept = f" and delete {checkpoints.folder}, which has the last good state" if checkpoints else ""
        return ModelError(
            f"{step}: the loss is {self.state.logs['loss']} in epoch {self.state.epoch + 1}, batch {self.state.batch}",
            f"reduce {step}.lr_config.learning_rate{kept}",
        )

    def _due(self) -> bool:
        minutes: float = self.train_spec.checkpoint_minutes
        return time.monotonic() - self.saved >= 60 * minutes

    def _asked(self) -> bool:
        """Whether a checkpoint is due or a signal arrived, here or in the process of another host."""
        self.stopping, due = any_of([bool(self.stop), self._due()])
        return self.stopping or due

    def _told_to_stop(self) -> bool:
        """Whether to stop during a validation; several hosts always finish it."""
        self.stopping = bool(self.stop) and joined().count == 1
        return self.stopping

    def _save(self) -> None:
        """Write a checkpoint; then stop if a signal arrived."""
        if self.trainer.checkpoints:
            self.trainer.checkpoints.write(self._variables(), self.state)
            self.saved = time.monotonic()
        if self.stopping:
            where = f"epoch {self.state.epoch}" + (f", batch {self.state.batch}" if self.state.batch else "")
            raise InterruptedRunError(
                f"{self.trainer.step} was stopped by {self.stop.signal or 'another host'} after {where}",
                "run the same command again to resume",
            )

    def _validate(self, epoch: int) -> dict[str, Any]:
        if epoch % self.train_spec.validation_interval and epoch < self.train_spec.num_epochs:
            return {"val_accuracy": None, "val_loss": None}
        parts = parts_of(self.trainer.validation)
        found = [self._evaluate(part) for part in parts]
        shares = [part.images / len(part.whole.images) for part in parts] if len(parts) > 1 else [1]
        return {
            f"val_{name}": sum(logs[name] * share for logs, share in zip(found, shares, strict=True))
            for name in ("accuracy", "loss")
        }

    def _evaluate(self, part: Part) -> dict[str, float]:
        watch = _Watch(self._told_to_stop, [])
        with memory_errors(self.trainer), laid_out(part):
            logs: dict[str, float] = self.trainer.model.evaluate(part, return_dict=True, verbose=0, callbacks=[watch])
        if watch.cut_short:
            self._save()
        return logs

    def _remember_best(self, row: dict[str, Any]) -> None:
        if row["val_accuracy"] is None:
            return
        state = self.state
        loss = row["val_loss"] if math.isfinite(row["val_loss"]) else math.inf
        score = (row["val_accuracy"], -loss)
        if score > state.best_score or not state.best_epoch:
            state.best_epoch, state.best_score = state.epoch, score
            state.best_weights = self.trainer.model.get_weights()


def weights_among(model: keras.Model, values: Sequence[Any]) -> list[Any]:
    """The model's weights, as `get_weights` gives them, among the values of all variables that training changes."""
    places = {key: place for place, key in enumerate(dict.fromkeys(id(variable) for variable in model.variables))}
    return [values[places[id(weight)]] for weight in model.weights]


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends `fit` and `evaluate` between two batches.

    Args:
        asked: returns whether to end.
        metrics: start values of the metrics' variables; none for zeros.
    """

    def __init__(self, asked: Callable[[], bool], metrics: list[Any]) -> None:
        super().__init__()
        self.asked, self.metrics = asked, metrics
        # Several processes do not exchange their flags after every batch.
        self.between = 1 if joined().count == 1 else BATCHES_BETWEEN_LOOKS
        self.done = 0
        self.cut_short = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the start values of the metrics, which Keras has just set to zero."""
        if self.metrics:
            for variable, value in zip(self.model.metrics_variables, self.metrics, strict=True):
                variable.assign(value)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.done = batch + 1
        lost = self.done % BATCHES_BETWEEN_LOOKS == 0 and not math.isfinite(float(logs["loss"]))
        if lost or (self.done % self.between == 0 and self.asked()):
            self.model.stop_training = True

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.asked():
            self.cut_short = self.model.stop_evaluating = True


@contextmanager
def memory_errors(trainer: Trainer) -> Iterator[None]:
    """Turn an out-of-memory error of TensorFlow or JAX into a message with a hint.

    Raises:
        ModelError: the memory of the device is too small for a batch.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in f"{type(error).__name__} {error}".upper():
            raise
        height, width = trainer.model.input_shape[1:3]
        raise ModelError(
            f"{trainer.step}: out of memory with batches of {trainer.train_spec.batch_size} images, {width}x{height}",
            f"reduce {trainer.step}.batch_size_per_gpu or model.input_image_size",
        ) from error
