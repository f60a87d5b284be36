"""The train and retrain steps: files in, a trained model and its history out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

import keras
import pandas as pd
from tensorboardX import SummaryWriter

from secateur.byom.backbone import build_byom
from secateur.data.classes import read_classmap
from secateur.data.manifest import read_manifest
from secateur.models.cost import cost_of
from secateur.models.file import load_model, save_model
from secateur.models.provenance import versions
from secateur.quantization.aware import plain_network, quantisation_aware
from secateur.run import DATA_WITHOUT_EFFECT, WITHOUT_EFFECT_ON_RESULTS, Run
from secateur.spec import TrainSpec
from secateur.steps.context import working
from secateur.steps.model_card import card_of, link, split_link
from secateur.steps.trainer import teacher_of, trainer_of
from secateur.storage.atomic import sha256_of, write_json
from secateur.storage.csv import write_csv
from secateur.storage.status_log import StatusLog
from secateur.tracking import Trackers, tracked
from secateur.training.checkpoints import CODE, Checkpoints, TrainingState
from secateur.training.compiling import has_gpu
from secateur.training.distribution import alone, distributed
from secateur.training.hosts import joined
from secateur.training.loop import Trainer
from secateur.training.overrides import configured
from secateur.training.pretrained import start_from
from secateur.training.progress import clock
from secateur.workflow.staleness import code_digest
from secateur.zoo import build, freeze

HISTORY_COLUMNS = ["epoch", "accuracy", "loss", "lr", "val_accuracy", "val_loss"]


def train(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Train the spec's network; write `train/model.tlt`, `history.csv`, `metrics.json` and TensorBoard events.

    The model is that of the best epoch; the last epoch's is kept as `last.tlt` in the work folder.

    Returns:
        The metrics.

    Raises:
        SecateurError: with what is wrong and what to do.
    """
    return _Step(run, "train", run.spec.train, stream).run()


def retrain(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Train the pruned network as the `retrain` section says; writes as `train` does, below `retrain/`."""
    return _Step(run, "retrain", run.spec.retrain or run.spec.train, stream).run()


class _Step:
    """One training of a run."""

    def __init__(self, run: Run, step: str, section: TrainSpec, stream: IO[str]) -> None:
        self.run_files, self.step, self.section, self.stream = run, step, section, stream
        self.spec = run.spec
        self.folder = run.results / step
        self.pruned = False
        self.devices = 1
        self.weights: dict[str, Any] | None = None
        self.parent: str | None = None
        self.chain: list[dict[str, Any]] = []

    def run(self) -> dict[str, Any]:
        with self._working() as status:
            self.run_files.key  # noqa: B018 - a missing key must fail before hours of training
            classes = read_classmap(self.run_files.classmap)
            manifest = read_manifest(self.run_files.manifest)
            self.chain = [split_link(self.run_files, len(manifest))]
            with (
                distributed(self.section.gpus) as self.devices,
                self._tracked() as trackers,
            ):
                metrics = self._trained(manifest, classes, status, trackers)
            status.write("RUNNING", f"{self.step} wrote its model", kpi={"val_accuracy": metrics["val_accuracy"]})
        return metrics

    def _tracked(self) -> AbstractContextManager[Trackers]:
        run = self.run_files
        return tracked(run.name, self.step, run.spec, self.section, run.work / self.step, self.stream)

    @contextmanager
    def _working(self) -> Iterator[StatusLog]:
        """Of several hosts the first one's process has the folders and writes; nobody sees what the others say."""
        if joined().first:
            with working(self.run_files, self.step) as status:
                yield status
            return
        with open(os.devnull, "w") as self.stream:
            yield StatusLog(os.devnull, self.step)

    def _trained(
        self, manifest: pd.DataFrame, classes: list[str], status: StatusLog, trackers: Trackers
    ) -> dict[str, Any]:
        keras.utils.set_random_seed(self.section.random_seed)
        model = configured(self._initial_model(len(classes)), self.section)
        learner = quantisation_aware(model) if self.section.qat else model
        recorder = _Recorder(self.folder / "tb_events", self.section.num_epochs, status, trackers)
        trainer = self._trainer(learner, manifest, classes, recorder)
        self._say_devices()
        state = trainer.run()
        metrics = trackers.summary = self._metrics(model, state, trainer.images)
        self._write(model, learner, state, metrics, classes)
        trainer.finish(state)
        return metrics

    def _say_devices(self) -> None:
        if self.section.gpus > 1:
            hosts = f" in {joined().count} processes" if joined().count > 1 else ""
            devices = f"{self.devices} of {self.section.gpus} devices{hosts}"
            print(f"{self.step}  {devices}, batches of {self.section.batch_size} images", file=self.stream, flush=True)

    def _initial_model(self, classes: int) -> keras.Model:
        if self.step == "retrain":
            model, card = load_model(self.run_files.model("prune"), self.run_files.key)
            self.pruned, self.parent, self.chain = True, card["sha256"], card.get("provenance", [])
            freeze(model, self.spec.model)
            return model
        section = self.spec.model
        if section.byom_model is not None:
            source = self.run_files.resolve(section.byom_model, Path(section.byom_model))
            model = build_byom(section, source, classes, self.run_files.key)
        else:
            model = build(section, classes)
        path = self.section.pretrained_model_path
        if path is not None:
            source = self.run_files.resolve(path, Path(path))
            model, report = start_from(model, source, self.run_files.key, self.spec.model)
            self.pruned, self.weights, self.parent = report.replaced, report.as_json(), report.sha256
            print(report, file=self.stream, flush=True)
            mode = self.spec.data.preprocess_mode
            if report.preprocess_mode not in ("", mode):
                print(
                    f"warning: these weights were trained with data.preprocess_mode {report.preprocess_mode}, the "
                    f"spec has {mode}",
                    file=self.stream,
                    flush=True,
                )
            freeze(model, self.spec.model)
        return model

    def _trainer(self, model: keras.Model, manifest: pd.DataFrame, classes: list[str], recorder: _Recorder) -> Trainer:
        return trainer_of(
            self.run_files,
            self.step,
            self.section,
            model,
            manifest,
            classes,
            stream=self.stream,
            checkpoints=Checkpoints(
                self.run_files.work / self.step, self.run_files.key, self._identity(classes), joined().first
            ),
            on_epoch=recorder if joined().first else lambda row, seconds: None,
            teacher=teacher_of(self.run_files, self.section),
        )

    def _identity(self, classes: list[str]) -> dict[str, Any]:
        section = self.section.model_dump(mode="json", exclude=WITHOUT_EFFECT_ON_RESULTS)
        parts: dict[str, Any] = {
            "data": self.spec.data.model_dump(mode="json", exclude=DATA_WITHOUT_EFFECT),
            "augment": self.spec.augment.model_dump(mode="json"),
            "model": self.spec.model.model_dump(mode="json"),
            self.step: section,
            "class map": classes,
            "images": sha256_of(self.run_files.manifest),
        }
        parts[CODE] = code_digest("train")
        if self.step == "retrain":
            # A pruned file is sealed anew each time; what counts is the network that was cut.
            parts["pruned model"] = sha256_of(self.run_files.folder("prune") / "report.json")
        return parts

    def _metrics(self, model: keras.Model, state: TrainingState, images: int) -> dict[str, Any]:
        cost = cost_of(model)
        best = state.history[state.best_epoch - 1]
        return {
            "arch": self.spec.model.arch,
            "epochs": state.epoch,
            "best_epoch": state.best_epoch,
            "val_accuracy": best["val_accuracy"],
            "val_loss": best["val_loss"],
            "params": cost.params,
            "macs": cost.macs,
            "training_images": images,
            "seconds": round(state.seconds, 2),
            "random_seed": self.section.random_seed,
            "pretrained": self.weights,
            "device": "gpu" if has_gpu() else "cpu",
            "devices": list(self.run_files.devices) or [f"cpu:{number}" for number in range(self.devices)],
            "backend": keras.backend.backend(),
            "versions": versions(),
        }

    def _write(
        self,
        model: keras.Model,
        learner: keras.Model,
        state: TrainingState,
        metrics: dict[str, Any],
        classes: list[str],
    ) -> None:
        own = link(self.run_files, self.step, parent_sha256=self.parent, best_epoch=state.best_epoch)
        card = {
            "pruned": self.pruned,
            "step": self.step,
            "best_epoch": state.best_epoch,
            **card_of(self.run_files, [*self.chain, own], classes),
        }
        if joined().first:
            write_csv(self.folder / "history.csv", pd.DataFrame(state.history, columns=HISTORY_COLUMNS))
            write_json(self.folder / "metrics.json", metrics)
        self._save(model, self.folder / "model.tlt", {**card, **_learned(learner, model)})
        learner.set_weights(state.last_weights)
        last = {**card, **_learned(learner, model), "best_epoch": None, "epoch": state.epoch}
        self._save(model, self.run_files.work / self.step / "last.tlt", last)
        print(
            f"{self.step}  {metrics['arch']}  {state.epoch} epochs  best val_accuracy {metrics['val_accuracy']:.4f} "
            f"(epoch {state.best_epoch})  {clock(metrics['seconds'])}",
            file=self.stream,
            flush=True,
        )

    def _save(self, model: keras.Model, path: Path, card: dict[str, Any]) -> None:
        """By the first host; setting weights is for all of them to do together."""
        if joined().first:
            with alone():
                save_model(model, path, self.run_files.key, card)


def _learned(learner: keras.Model, model: keras.Model) -> dict[str, Any]:
    """Take the weights that training found into the plain model; for int8 also the ranges, for the model's card."""
    if learner is model:
        return {}
    return {"quantization": plain_network(learner, model)[1].as_json()}


class _Recorder:
    """Sends each epoch to TensorBoard, to the status file and to the trackers."""

    def __init__(self, folder: Path, epochs: int, status: StatusLog, trackers: Trackers) -> None:
        self.folder, self.epochs, self.status, self.trackers = folder, epochs, status, trackers
        self.events: SummaryWriter | None = None

    def __call__(self, row: dict[str, float], seconds: float) -> None:
        epoch = int(row["epoch"])
        kpi = {name: value for name, value in row.items() if name != "epoch" and value is not None}
        if epoch == 1 and self.folder.exists():
            shutil.rmtree(self.folder)
        if self.events is None:
            self.events = SummaryWriter(str(self.folder))
        for name, value in kpi.items():
            self.events.add_scalar(name, value, epoch)
        self.events.flush()
        times = {"time_per_epoch": clock(seconds), "eta": clock(seconds * (self.epochs - epoch))}
        self.status.write("RUNNING", f"epoch {epoch} of {self.epochs}", kpi=kpi, epoch=epoch, **times)
        self.trackers.epoch(epoch, kpi)
