"""The train and retrain steps: they write a trained model, its history and its metrics."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import keras
import pandas as pd
from tensorboardX import SummaryWriter

from secateur.byom.backbone import build_byom
from secateur.data.classes import read_classmap
from secateur.models.cost import cost_of
from secateur.models.file import save_model
from secateur.models.provenance import versions
from secateur.quantization.aware import plain_network, quantisation_aware
from secateur.run import Run
from secateur.runtime.semaphores import have_semaphores
from secateur.spec import TrainSpec
from secateur.steps.cache import make_image_cache
from secateur.steps.context import step_context
from secateur.steps.fitted_model import fitted_model
from secateur.steps.identity import training_identity
from secateur.steps.model_card import card_of, link, split_link
from secateur.steps.run_manifest import manifest_of
from secateur.steps.trainer import teacher_of, trainer_of
from secateur.storage.atomic import write_json
from secateur.storage.csv import write_csv
from secateur.storage.status_log import StatusLog
from secateur.tracking import Trackers, tracked
from secateur.training.checkpoints import Checkpoints, TrainingState
from secateur.training.compiling import has_gpu
from secateur.training.distribution import alone, distributed
from secateur.training.hosts import joined
from secateur.training.loop import Trainer
from secateur.training.overrides import configured
from secateur.training.pretrained import start_from
from secateur.training.progress import clock
from secateur.zoo import build, freeze

HISTORY_COLUMNS = ["epoch", "accuracy", "loss", "lr", "val_accuracy", "val_loss"]


@dataclass(frozen=True)
class Training:
    """The facts that define one training.

    Attributes:
        run: the run.
        step: `train` or `retrain`.
        section: of the spec, for this step.
        stream: for messages.
        classes: names in index order.
        manifest: images and splits.
        devices: number of devices that train together.
    """

    run: Run
    step: str
    section: TrainSpec
    stream: IO[str]
    classes: list[str] = field(default_factory=list)
    manifest: pd.DataFrame = field(default_factory=pd.DataFrame)
    devices: int = 1


@dataclass(frozen=True)
class Start:
    """The network at the start of a training.

    Attributes:
        model: the network.
        chain: the links of the steps before.
        pruned: whether channels were removed from it.
        parent: digest of the model file that it comes from; None for new weights.
        weights: the report of pretrained weights, for the metrics.
    """

    model: keras.Model
    chain: list[dict[str, Any]]
    pruned: bool = False
    parent: str | None = None
    weights: dict[str, Any] | None = None


def train(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Train the spec's network; write `train/model.tlt`, `history.csv`, `metrics.json` and TensorBoard events.

    `model.tlt` is the model of the best epoch; `last.tlt` in the work folder is the model of the last epoch.

    Returns:
        The metrics.

    Raises:
        SecateurError: the training cannot start, was interrupted or failed, or a file cannot be written.
    """
    return _done(Training(run, "train", run.spec.train, stream))


def retrain(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Train the pruned network with the `retrain` section. Writes the same files as `train`, below `retrain/`."""
    return _done(Training(run, "retrain", run.spec.retrain or run.spec.train, stream))


def _done(training: Training) -> dict[str, Any]:
    run = training.run
    with _status_and_stream(training) as (status, stream):
        require_key(run)
        if joined().first:
            make_image_cache(run, stream)
        training = replace(training, stream=stream, classes=read_classmap(run.classmap), manifest=manifest_of(run))
        with (
            distributed(training.section.gpus) as devices,
            tracked(run.name, training.step, run.spec, training.section, run.work / training.step, stream) as trackers,
        ):
            metrics = _trained(replace(training, devices=devices), status, trackers)
        status.write("RUNNING", f"{training.step} wrote its model", kpi={"val_accuracy": metrics["val_accuracy"]})
    return metrics


def require_key(run: Run) -> None:
    """Raise VaultError for a missing key now, and not after hours of training."""
    _ = run.key


@contextmanager
def _status_and_stream(training: Training) -> Iterator[tuple[StatusLog, IO[str]]]:
    """The status file and the stream. Of several hosts only the first writes files and prints messages."""
    if joined().first:
        with step_context(training.run, training.step) as status:
            yield status, training.stream
        return
    with open(os.devnull, "w") as nowhere:
        yield StatusLog(None, training.step), nowhere


def _trained(training: Training, status: StatusLog, trackers: Trackers) -> dict[str, Any]:
    keras.utils.set_random_seed(training.section.random_seed)
    start = _start(training)
    model = configured(start.model, training.section)
    learner = quantisation_aware(model) if training.section.qat else model
    events = training.run.folder(training.step) / "tb_events"
    recorder = _Recorder(events, training.section.num_epochs, status, trackers)
    trainer = _trainer(training, learner, recorder)
    _say_devices(training)
    state = trainer.run()
    metrics = trackers.summary = _metrics(training, start, model, state, trainer.images)
    _write(training, start, model, learner, state, metrics)
    trainer.finish(state)
    return metrics


def _say_devices(training: Training) -> None:
    wanted = training.section.gpus
    if wanted > 1:
        hosts = f" in {joined().count} processes" if joined().count > 1 else ""
        _say(
            training, f"{training.devices} of {wanted} devices{hosts}, batches of {training.section.batch_size} images"
        )


def _say(training: Training, words: str) -> None:
    print(f"{training.step}  {words}", file=training.stream, flush=True)


def _start(training: Training) -> Start:
    if training.step == "retrain":
        fitted = fitted_model(training.run, training.run.model("prune"), "retrain", training.stream)
        freeze(fitted.model, training.run.spec.model)
        return Start(fitted.model, fitted.card.get("provenance", []), pruned=True, parent=fitted.card["sha256"])
    fresh = Start(_built(training), [split_link(training.run, len(training.manifest))])
    path = training.section.pretrained_model_path
    return fresh if path is None else _with_weights(training, fresh, training.run.resolve(path, Path(path)))


def _built(training: Training) -> keras.Model:
    section, count = training.run.spec.model, len(training.classes)
    if section.byom_model is None:
        return build(section, count)
    path = training.run.resolve(section.byom_model, Path(section.byom_model))
    return build_byom(section, path, count, training.run.key)


def _with_weights(training: Training, fresh: Start, path: Path) -> Start:
    """The same network with the weights of a file, or the pruned network in that file."""
    spec = training.run.spec
    model, report = start_from(fresh.model, path, training.run.key, spec.model, training.classes)
    print(report, file=training.stream, flush=True)
    if report.preprocess_mode not in ("", spec.data.preprocess_mode):
        print(
            f"warning: these weights were trained with data.preprocess_mode {report.preprocess_mode}, but the spec has "
            f"{spec.data.preprocess_mode}",
            file=training.stream,
            flush=True,
        )
    freeze(model, spec.model)
    return Start(model, fresh.chain, report.replaced, report.sha256, report.as_json())


def _trainer(training: Training, model: keras.Model, recorder: _Recorder) -> Trainer:
    run, first = training.run, joined().first
    identity = training_identity(run, training.step, training.section, training.manifest, training.classes)
    return trainer_of(
        run,
        training.step,
        training.section,
        model,
        training.manifest,
        training.classes,
        stream=training.stream,
        checkpoints=Checkpoints(run.work / training.step, run.key, identity, first),
        on_epoch=recorder if first else lambda row, seconds: None,
        on_notice=recorder.notice if first else lambda words: None,
        teacher=teacher_of(run, training.section, training.step, training.stream),
    )


def _metrics(training: Training, start: Start, model: keras.Model, state: TrainingState, images: int) -> dict[str, Any]:
    cost = cost_of(model)
    best = state.history[state.best_epoch - 1]
    return {
        "arch": training.run.spec.model.arch,
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        **_restart(state),
        "val_accuracy": best["val_accuracy"],
        "val_loss": best["val_loss"],
        "params": cost.params,
        "macs": cost.macs,
        "training_images": images,
        "seconds": round(state.seconds, 2),
        "random_seed": training.section.random_seed,
        "pretrained": start.weights,
        "device": "gpu" if has_gpu() else "cpu",
        "devices": list(training.run.devices) or [f"cpu:{number}" for number in range(training.devices)],
        "backend": keras.backend.backend(),
        "versions": versions(),
    }


def _write(
    training: Training,
    start: Start,
    model: keras.Model,
    learner: keras.Model,
    state: TrainingState,
    metrics: dict[str, Any],
) -> None:
    run, step = training.run, training.step
    own = link(run, step, parent_sha256=start.parent, best_epoch=state.best_epoch, **_restart(state))
    card = {
        "pruned": start.pruned,
        "step": step,
        "best_epoch": state.best_epoch,
        **card_of(run, [*start.chain, own], training.classes),
    }
    if joined().first:
        write_csv(run.file(step, "history"), pd.DataFrame(state.history, columns=HISTORY_COLUMNS))
        write_json(run.file(step, "metrics"), metrics)
    _save(run, model, run.model(step), {**card, **_learned(learner, model)})
    learner.set_weights(state.last_weights)
    last = {**card, **_learned(learner, model), "best_epoch": None, "epoch": state.epoch}
    _save(run, model, run.work / step / "last.tlt", last)
    _say(
        training,
        f"{metrics['arch']}  {state.epoch} epochs  best val_accuracy {metrics['val_accuracy']:.4f} "
        f"(epoch {state.best_epoch})  {clock(metrics['seconds'])}",
    )


def _restart(state: TrainingState) -> dict[str, Any]:
    return {"schedule_restarted_after_epoch": state.restart} if state.restart else {}


def _save(run: Run, model: keras.Model, path: Path, card: dict[str, Any]) -> None:
    """Save the model on the first host only. All hosts must set weights together before."""
    if joined().first:
        with alone():
            save_model(model, path, run.key, card)


def _learned(learner: keras.Model, model: keras.Model) -> dict[str, Any]:
    """Copy the learned weights to the plain model. For int8, returns the learned ranges for the model's card."""
    if learner is model:
        return {}
    return {"quantization": plain_network(learner, model)[1].as_json()}


class _Recorder:
    """Sends each epoch to TensorBoard, to the status file and to the trackers."""

    def __init__(self, folder: Path, epochs: int, status: StatusLog, trackers: Trackers) -> None:
        self.folder, self.epochs, self.status, self.trackers = folder, epochs, status, trackers
        self.events: SummaryWriter | None = None

    def notice(self, words: str) -> None:
        """Write what is said of an earlier training to the status file."""
        self.status.write("RUNNING", words)

    def __call__(self, row: dict[str, float], seconds: float) -> None:
        epoch = int(row["epoch"])
        kpi = {name: value for name, value in row.items() if name != "epoch" and value is not None}
        if epoch == 1:
            for earlier in self.folder.glob("events.out.tfevents.*"):
                earlier.unlink()
        if self.events is None and have_semaphores():
            self.events = SummaryWriter(str(self.folder))
        if self.events:
            for name, value in kpi.items():
                self.events.add_scalar(name, value, epoch)
            self.events.flush()
        times = {"time_per_epoch": clock(seconds), "eta": clock(seconds * (self.epochs - epoch))}
        self.status.write("RUNNING", f"epoch {epoch} of {self.epochs}", kpi=kpi, epoch=epoch, **times)
        self.trackers.epoch(epoch, kpi)
