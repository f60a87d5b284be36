"""The figures of a run for its report. No Keras is imported."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from secateur.evaluation.accuracy import standard_error
from secateur.spec import Spec

TITLES = {"train": "trained", "retrain": "pruned and retrained", "external": "model file named in the spec"}


@dataclass(frozen=True)
class Stage:
    """One evaluated model.

    Attributes:
        name: `train`, `retrain` or `external`.
        metrics: content of its `metrics.json`.
        predictions: one row per image.
        confusion: counts, int [true class, predicted class].
        model_bytes: size of the model's file, 0 if the file was removed.
    """

    name: str
    metrics: dict[str, Any]
    predictions: pd.DataFrame
    confusion: np.ndarray
    model_bytes: int

    @property
    def title(self) -> str:
        """The name of the model in words."""
        return TITLES[self.name]

    @property
    def standard_error(self) -> float:
        """The standard error of the top-1 accuracy."""
        return standard_error(self.metrics["top_1"], self.metrics["images"])


@dataclass(frozen=True)
class Facts:
    """The figures of one run.

    Attributes:
        spec: of the run.
        final_step: the step that made the final model.
        classes: names in index order.
        manifest: images and splits.
        split: content of `split/report.json`.
        trainings: step -> its metrics.
        histories: step -> its history, one row per epoch.
        pruning: content of `prune/report.json`; None without pruning.
        stages: the models that were evaluated.
        exported: figures and bytes of each exported file.
        latency: content of `export/latency.json`.
        engine: figures of the TensorRT engine; None without an engine.
    """

    spec: Spec
    final_step: str
    classes: list[str]
    manifest: pd.DataFrame
    split: dict[str, Any]
    trainings: dict[str, dict[str, Any]]
    histories: dict[str, pd.DataFrame]
    pruning: dict[str, Any] | None
    stages: list[Stage]
    exported: list[dict[str, Any]]
    latency: dict[str, Any]
    engine: dict[str, Any] | None

    @cached_property
    def final(self) -> Stage:
        """The evaluation of the final model."""
        return next(stage for stage in self.stages if stage.name == self.final_step)

    @cached_property
    def unpruned(self) -> Stage | None:
        """The evaluation of the model before pruning; None without pruning, or if that model was not evaluated."""
        found = (stage for stage in self.stages if stage.name == "train")
        return next(found, None) if self.spec.prunes else None

    def latency_of(self, network: str) -> dict[str, Any] | None:
        """The latency with one thread and one image of the network whose name begins with this text."""
        cases = self.latency["cases"]
        return next((case for case in cases if is_single(case) and case["network"].startswith(network)), None)


def is_single(case: dict[str, Any]) -> bool:
    """Whether a case of `latency.json` was measured with one image on one thread."""
    return bool(case["threads"] == 1 and case["batch"] == 1)
