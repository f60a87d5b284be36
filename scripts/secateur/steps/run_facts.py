"""Read all results of a run for its report. No Keras is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from secateur.data.classes import read_classmap
from secateur.errors import ArtifactError
from secateur.export.exported_files import exported_files
from secateur.report.facts import Facts, Stage
from secateur.run import Run
from secateur.steps.run_manifest import manifest_of
from secateur.storage.atomic import read_json
from secateur.storage.csv import read_csv
from secateur.workflow.outputs import stages_of

TEXTS = {"path": str, "class": str, "predicted": str}


def read_facts(run: Run) -> Facts:
    """The figures of a run whose results are complete.

    Raises:
        ArtifactError: a file is missing.
    """
    trainings = {step: read_json(run.file(step, "metrics")) for step in run.trainings}
    engine = run.file("engine", "metrics")
    return Facts(
        spec=run.spec,
        final_step=run.final_step,
        classes=read_classmap(run.classmap),
        manifest=manifest_of(run),
        split=read_json(run.file("split", "report")),
        trainings=trainings,
        histories={step: read_csv(run.file(step, "history")) for step in trainings},
        pruning=read_json(run.file("prune", "report")) if run.spec.prunes else None,
        stages=_stages(run),
        exported=_exported(run),
        latency=read_json(run.file("latency", "latency")),
        engine=read_json(engine) if engine.is_file() else None,
    )


def _stages(run: Run) -> list[Stage]:
    """The evaluations of the models of this spec. The folder can also hold figures of an earlier spec."""
    found = [_stage(run, name) for name in stages_of(run.spec) if run.file("evaluate", "metrics", name).is_file()]
    if not any(stage.name == run.final_step for stage in found):
        path = run.file("evaluate", "metrics", run.final_step)
        raise ArtifactError(f"cannot read {path}: No such file or directory", "evaluate the final model first")
    return found


def _stage(run: Run, name: str) -> Stage:
    metrics = read_json(run.file("evaluate", "metrics", name))
    model = Path(metrics["model"])
    return Stage(
        name,
        metrics,
        read_csv(run.file("evaluate", "predictions", name), dtype=TEXTS),
        read_csv(run.file("evaluate", "confusion", name), dtype={0: str}).iloc[:, 1:].to_numpy(np.int64),
        model.stat().st_size if model.is_file() else 0,
    )


def _exported(run: Run) -> list[dict[str, Any]]:
    folder = run.folder("export")
    return [
        {**read_json(folder / file.parity_name), "bytes": _bytes(folder, file.parts)}
        for file in exported_files(run.spec)
    ]


def _bytes(folder: Path, parts: list[str]) -> int:
    return sum((folder / part).stat().st_size for part in parts)
