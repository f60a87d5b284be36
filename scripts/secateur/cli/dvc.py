"""Write `dvc.yaml`: one stage that calls Snakemake, since only Snakemake knows which step needs which.

This module imports no Keras, like `workflow`. docs/dvc.md explains why there is one stage, and why
`.snakemake/metadata` is one of its outputs.

See docs/decisions/dvc-stage.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from secateur.data.addresses import is_url
from secateur.run import trainings
from secateur.spec import Spec
from secateur.spec.placeholders import split_placeholder
from secateur.step_table import STEPS
from secateur.workflow.experiments import RESULTS, Experiments
from secateur.workflow.staleness import DIGITS, DIGITS_INDEX, is_digits, places_of_split

COMMAND = "snakemake --cores all --resources gpu=2"
# The workflow itself. The specs are below config/.
OWN = ("Snakefile", "config", "envs", "profiles", "rules", "scripts")
# What Snakemake recorded about the files. Without it a fresh clone would run every step again.
RECORDS = ".snakemake/metadata"
HEADER = """\
# Written by `secateur dvc`. Run that command again when config/config.yaml changes. See docs/dvc.md.
"""


def pipeline(config: Mapping[str, Any]) -> str:
    """The text of `dvc.yaml` for the experiments of a configuration.

    Raises:
        SpecError: as `Experiments` does.
    """
    experiments = Experiments(config)
    written = {
        "stages": {
            "workflow": {
                "desc": "Run every step that is out of date; the Snakefile defines the steps.",
                "cmd": COMMAND,
                "deps": _dependencies(experiments),
                "outs": [{path: {"persist": True}} for path in _outputs(experiments)],
            }
        },
        "params": sorted({"config/config.yaml", *experiments.spec_files}),
        "metrics": _of_all(experiments, _metrics),
        "plots": [{"accuracy": _curves(experiments, "val_accuracy")}, {"loss": _curves(experiments, "val_loss")}],
    }
    return HEADER + yaml.safe_dump(written, sort_keys=False, width=120)


def _dependencies(experiments: Experiments) -> list[str]:
    """The workflow, the specs, and every folder, table and file that an experiment reads and no rule writes."""
    paths = [path for spec in experiments.specs.values() for path in _read(spec)]
    found: list[str] = list(OWN)
    for path in sorted({*experiments.spec_files, *paths}):
        if not any(Path(path).is_relative_to(other) for other in found):
            found.append(path)
    return found


def _read(spec: Spec) -> list[str]:
    starts = [spec.train.pretrained_model_path, spec.model.byom_model]
    given = [*places_of_split(spec), spec.inference.image_dir, *(spec.export.cal_image_dir or []), *starts]
    return [
        os.path.normpath(path)
        for path in given
        if path and not is_url(path) and not is_digits(path) and split_placeholder(path) is None
    ]


def _outputs(experiments: Experiments) -> list[str]:
    digits = any(is_digits(root) for spec in experiments.specs.values() for root in places_of_split(spec))
    own = [spec.results_dir for spec in experiments.specs.values() if spec.results_dir]
    return [str(RESULTS), *own, *([DIGITS, DIGITS_INDEX] if digits else []), RECORDS]


def _metrics(spec: Spec) -> list[str]:
    evaluated = [STEPS["evaluate"].path("metrics").format(stage=step) for step in trainings(spec)]
    return [*evaluated, STEPS["bundle"].path("metrics")]


def _histories(spec: Spec) -> list[str]:
    return [STEPS[step].path("history") for step in trainings(spec)]


def _of_all(experiments: Experiments, files: Callable[[Spec], list[str]]) -> list[str]:
    swept = experiments.overrides
    return [
        str(RESULTS / name / file)
        for name, spec in experiments.specs.items()
        if name not in swept
        for file in files(spec)
    ]


def _curves(experiments: Experiments, column: str) -> dict[str, Any]:
    """A plot of one column of every training's history against the epoch."""
    return {"x": "epoch", "y": dict.fromkeys(_of_all(experiments, _histories), column)}
