"""Read all results of a run for its report. No Keras is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secateur.data.classes import read_classmap
from secateur.errors import ArtifactError
from secateur.export.exported_files import exported_files
from secateur.report.facts import Facts, Stage
from secateur.run import Run
from secateur.steps.run_files import again, bytes_of, damaged, read_parity, read_run_json
from secateur.steps.run_manifest import manifest_of
from secateur.storage.csv import read_csv
from secateur.workflow.outputs import stages_of

TEXTS = {"path": str, "class": str, "predicted": str}
NUMBERS = ("confidence", "class_probability")
SURE = 1 + 1e-5  # the largest sum of probabilities in float32
CURVES = ("loss", "val_loss", "accuracy", "val_accuracy", "lr")


def read_facts(run: Run) -> Facts:
    """The figures of a run whose results are complete.

    Raises:
        SecateurError: a file is missing or damaged, or two files are not of the same run.
    """
    trainings = {step: read_run_json(run, step, "metrics") for step in run.trainings}
    classes = read_classmap(run.classmap)
    split = read_run_json(run, "split", "report")
    _require_classes(run.classmap, "split", classes, split["classes"])
    for counts in split["images_per_class"].values():
        _require_classes(run.file("split", "report"), "split", counts, classes)
    return Facts(
        spec=run.spec,
        final_step=run.final_step,
        classes=classes,
        manifest=manifest_of(run),
        split=split,
        trainings=trainings,
        histories={step: _history(run, step, metrics["best_epoch"]) for step, metrics in trainings.items()},
        pruning=read_run_json(run, "prune", "report") if run.spec.prunes else None,
        stages=_stages(run, classes),
        exported=_exported(run),
        latency=read_run_json(run, "latency", "latency"),
        engine=read_run_json(run, "engine", "metrics") if run.file("engine", "metrics").is_file() else None,
    )


def _require_classes(path: Path, step: str, found: Any, classes: Sequence[str]) -> None:
    if sorted(found) != sorted(classes):
        raise damaged(path, step, f"it has other classes than the other files, {len(found)} and {len(classes)}")


def _history(run: Run, step: str, best_epoch: int) -> pd.DataFrame:
    """One row per epoch. An epoch without validation has empty cells."""
    path = run.file(step, "history")
    table = read_csv(path, again(path, step))
    _require_columns(path, step, table, ("epoch", *CURVES))
    curves = [pd.to_numeric(table[name], errors="coerce") for name in CURVES]
    complete = list(table["epoch"]) == list(range(1, len(table) + 1)) and len(table) >= best_epoch
    if not complete or not all(curve.notna().any() for curve in curves):
        raise damaged(path, step, f"it does not have the {best_epoch} or more epochs of this training")
    return table


def _stages(run: Run, classes: list[str]) -> list[Stage]:
    """The evaluations of the models of this spec. The folder can also hold figures of an earlier spec."""
    names = [name for name in stages_of(run.spec) if run.file("evaluate", "metrics", name).is_file()]
    if run.final_step not in names:
        path = run.file("evaluate", "metrics", run.final_step)
        raise ArtifactError(f"cannot read {path}: No such file or directory", "evaluate the final model first")
    return [_stage(run, name, classes) for name in names]


def _stage(run: Run, name: str, classes: list[str]) -> Stage:
    metrics = read_run_json(run, "evaluate", "metrics", name)
    _require_classes(run.file("evaluate", "metrics", name), "evaluate", metrics["per_class"], classes)
    model = Path(metrics["model"])
    return Stage(
        name,
        metrics,
        _predictions(run, name, metrics["images"], classes),
        _confusion(run, name, metrics["images"], classes),
        model.stat().st_size if model.is_file() else 0,
    )


def _predictions(run: Run, name: str, images: int, classes: list[str]) -> pd.DataFrame:
    path = run.file("evaluate", "predictions", name)
    table = read_csv(path, again(path, "evaluate"), dtype=TEXTS)
    _require_columns(path, "evaluate", table, (*TEXTS, *NUMBERS, "correct"))
    known = set(classes)
    if len(table) != images:
        raise damaged(path, "evaluate", f"it has {len(table)} rows; {images} images were evaluated")
    if not all(pd.api.types.is_numeric_dtype(table[name]) and table[name].between(0, SURE).all() for name in NUMBERS):
        raise damaged(path, "evaluate", "a confidence is not a number from 0 to 1")
    if table["correct"].dtype != bool or not (set(table["class"]) | set(table["predicted"])) <= known:
        raise damaged(path, "evaluate", "a row has an unknown class, or is neither correct nor wrong")
    return table


def _confusion(run: Run, name: str, images: int, classes: list[str]) -> NDArray[np.int64]:
    path = run.file("evaluate", "confusion", name)
    table = read_csv(path, again(path, "evaluate"), dtype=str)
    if len(table.columns) != len(classes) + 1 or list(table.iloc[:, 0]) != classes:
        raise damaged(path, "evaluate", f"it is not the table of {len(classes)} classes")
    try:
        counts = table.iloc[:, 1:].to_numpy().astype(np.int64)
    except (ValueError, OverflowError) as error:
        raise damaged(path, "evaluate", "a count is not a number") from error
    if counts.min() < 0 or counts.sum() != images:
        raise damaged(path, "evaluate", f"its counts are not those of {images} images")
    return counts


def _require_columns(path: Path, step: str, table: pd.DataFrame, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise damaged(path, step, f"no column {', '.join(missing)}")


def _exported(run: Run) -> list[dict[str, Any]]:
    return [{**read_parity(run, file), "bytes": bytes_of(run, file)} for file in exported_files(run.spec)]
