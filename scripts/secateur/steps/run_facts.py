"""Reads back all that a run has written, for its report. Light: no Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from secateur.data.classes import read_classmap
from secateur.data.manifest import read_manifest
from secateur.errors import ArtifactError
from secateur.export.exported_files import exported_files, parity_path
from secateur.report.facts import Facts, Stage
from secateur.run import Run, given_model
from secateur.storage.atomic import read_json
from secateur.storage.csv import read_csv

TEXTS = {"path": str, "class": str, "predicted": str}


def read_facts(run: Run) -> Facts:
    """The figures of a run whose results are complete.

    Raises:
        ArtifactError: a file is missing.
    """
    trainings = {step: read_json(run.folder(step) / "metrics.json") for step in run.trainings}
    engine = run.results / "engine" / "metrics.json"
    return Facts(
        spec=run.spec,
        final_step=run.final_step,
        classes=read_classmap(run.classmap),
        manifest=read_manifest(run.manifest),
        split=read_json(run.folder("split") / "report.json"),
        trainings=trainings,
        histories={step: read_csv(run.folder(step) / "history.csv") for step in trainings},
        pruning=read_json(run.folder("prune") / "report.json") if run.spec.prunes else None,
        stages=_stages(run),
        exported=_exported(run),
        latency=read_json(run.results / "export" / "latency.json"),
        engine=read_json(engine) if engine.is_file() else None,
    )


def _stages(run: Run) -> list[Stage]:
    """The evaluations of the models of this spec: the folder may hold figures of an earlier one."""
    names = [*run.trainings, *(["given"] if given_model(run.spec) else [])]
    found = [_stage(run, name) for name in names if (run.evaluation(name) / "metrics.json").is_file()]
    if not any(stage.name == run.final_step for stage in found):
        path = run.evaluation(run.final_step) / "metrics.json"
        raise ArtifactError(f"cannot read {path}: No such file or directory", "evaluate the final model first")
    return found


def _stage(run: Run, name: str) -> Stage:
    folder = run.evaluation(name)
    metrics = read_json(folder / "metrics.json")
    model = Path(metrics["model"])
    return Stage(
        name,
        metrics,
        read_csv(folder / "predictions.csv", dtype=TEXTS),
        read_csv(folder / "confusion.csv", dtype={0: str}).iloc[:, 1:].to_numpy(np.int64),
        model.stat().st_size if model.is_file() else 0,
    )


def _exported(run: Run) -> list[dict[str, Any]]:
    folder = run.results / "export"
    return [
        {**read_json(parity_path(folder / file.name)), "bytes": _bytes(folder, file.parts)}
        for file in exported_files(run.spec)
    ]


def _bytes(folder: Path, parts: list[str]) -> int:
    return sum((folder / part).stat().st_size for part in parts)
