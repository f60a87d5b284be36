"""All that a run has written, read back for its report. Light: no Keras."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from secateur.data.classes import read_classmap
from secateur.data.manifest import read_manifest
from secateur.errors import ArtifactError
from secateur.evaluation.accuracy import standard_error
from secateur.run import Run, exported_files, given_model, parity_path
from secateur.storage.atomic import read_json
from secateur.storage.csv import read_csv

TITLES = {"train": "trained", "retrain": "pruned and retrained", "given": "given by the spec"}
TEXTS = {"path": str, "class": str, "predicted": str}


@dataclass(frozen=True)
class Stage:
    """One evaluated model.

    Attributes:
        name: `train`, `retrain` or `given`.
        metrics: as `evaluate` wrote them.
        predictions: an image a row.
        confusion: counts, int [true class, predicted class].
        model_bytes: of the model's file, 0 where it is gone.
    """

    name: str
    metrics: dict[str, Any]
    predictions: pd.DataFrame
    confusion: np.ndarray
    model_bytes: int

    @property
    def title(self) -> str:
        """In words."""
        return TITLES[self.name]

    @property
    def standard_error(self) -> float:
        """Of the top-1 accuracy."""
        return standard_error(self.metrics["top_1"], self.metrics["images"])


class Facts:
    """The files of one run.

    Args:
        run: whose results are complete.

    Raises:
        ArtifactError: a file is missing.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.classes = read_classmap(run.classmap)
        self.manifest = read_manifest(run.manifest)
        self.split = read_json(run.folder("split") / "report.json")
        self.trainings = {
            step: read_json(run.folder(step) / "metrics.json")
            for step in (("train", "retrain") if run.spec.prunes else ("train",))
        }
        self.histories = {step: read_csv(run.folder(step) / "history.csv") for step in self.trainings}
        self.pruning = read_json(run.folder("prune") / "report.json") if run.spec.prunes else None
        # Of the models of this spec: the folder may hold figures of an earlier one.
        names = [*self.trainings, *(["given"] if given_model(run.spec) else [])]
        self.stages = [self._stage(name) for name in names if (self._evaluation(name) / "metrics.json").is_file()]
        if not any(stage.name == run.final_step for stage in self.stages):
            path = self._evaluation(run.final_step) / "metrics.json"
            raise ArtifactError(f"cannot read {path}: No such file or directory", "evaluate the final model first")
        folder = run.results / "export"
        self.exported = [
            {**read_json(parity_path(folder / file.name)), "bytes": _bytes(folder, file.parts)}
            for file in exported_files(run.spec)
        ]
        self.latency = read_json(folder / "latency.json")
        engine = run.results / "engine" / "metrics.json"
        self.engine = read_json(engine) if engine.is_file() else None

    def _evaluation(self, name: str) -> Path:
        # The points of a sweep share the first training, and with it the folder of its evaluation.
        root = self.run.folder("train").parent if name == "train" else self.run.results
        return root / "evaluate" / name

    def _stage(self, name: str) -> Stage:
        folder = self._evaluation(name)
        metrics = read_json(folder / "metrics.json")
        model = Path(metrics["model"])
        return Stage(
            name,
            metrics,
            read_csv(folder / "predictions.csv", dtype=TEXTS),
            read_csv(folder / "confusion.csv", dtype={0: str}).iloc[:, 1:].to_numpy(np.int64),
            model.stat().st_size if model.is_file() else 0,
        )

    @cached_property
    def final(self) -> Stage:
        """The evaluation of the final model."""
        return next(stage for stage in self.stages if stage.name == self.run.final_step)

    @cached_property
    def unpruned(self) -> Stage | None:
        """The evaluation of the model that was pruned; None where nothing was, or it was not evaluated."""
        found = (stage for stage in self.stages if stage.name == "train")
        return next(found, None) if self.run.spec.prunes else None

    def latency_of(self, network: str) -> dict[str, Any] | None:
        """One thread, one image: the figures of a network whose name begins so."""
        cases = self.latency["cases"]
        return next((case for case in cases if is_single(case) and case["network"].startswith(network)), None)


def is_single(case: dict[str, Any]) -> bool:
    """Whether a case of `latency.json` is one image on one thread."""
    return bool(case["threads"] == 1 and case["batch"] == 1)


def _bytes(folder: Path, parts: list[str]) -> int:
    return sum((folder / part).stat().st_size for part in parts)
