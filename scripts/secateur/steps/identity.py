"""The identity of unfinished work: a step resumes from its checkpoints only if their identity is the same.

Images count by their content and labels, not by their paths: moving or renaming a folder changes nothing.
See docs/decisions/resume.md.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd

from secateur.run import Run
from secateur.spec import PruneSpec, Spec, TrainSpec
from secateur.spec.effects import result_values, values_that_affect
from secateur.spec.fields import Effect
from secateur.steps.run_manifest import pixels_and_labels
from secateur.storage.atomic import sha256_of
from secateur.training.checkpoints import CODE
from secateur.workflow.staleness import code_of


def training_identity(
    run: Run, step: str, section: TrainSpec, manifest: pd.DataFrame, classes: list[str]
) -> dict[str, Any]:
    """The identity of a training: plain data by name, such as a section of the spec.

    Args:
        run: the run.
        step: `train` or `retrain`.
        section: of the spec, for this step.
        manifest: its images.
        classes: names in index order.
    """
    parts = {
        **_by_section(run.spec, ("pixels", "training"), without=("train", "retrain")),
        step: result_values(section),
        "class map": classes,
        "images": pixels_and_labels(manifest),
        CODE: code_of(step, run.spec),
    }
    if step == "retrain":
        # A file is encrypted with new random numbers each time, so the report identifies the pruned network.
        parts["pruned model"] = sha256_of(run.file("prune", "report"))
    return parts


def pruning_identity(
    run: Run, section: PruneSpec, short_training: TrainSpec | None, manifest: pd.DataFrame | None
) -> dict[str, Any]:
    """The identity of a pruning in several steps.

    Args:
        run: the run.
        section: `prune`.
        short_training: the section of the training between cuts; None without such a training.
        manifest: the images that pruning reads; None if it reads none.
    """
    effects: tuple[Effect, ...] = () if manifest is None else ("pixels", "training") if short_training else ("pixels",)
    parts = {
        **_by_section(run.spec, effects, without=("train", "retrain")),
        "prune": result_values(section),
        "images": "" if manifest is None else pixels_and_labels(manifest),
        "trained model": sha256_of(run.model_to_prune),
    }
    if short_training is not None:
        parts["retrain"] = result_values(short_training)
    return parts


def _by_section(spec: Spec, effects: Collection[Effect], without: Collection[str]) -> dict[str, dict[str, Any]]:
    """Section -> rest of the key -> value."""
    found: dict[str, dict[str, Any]] = {}
    for path, value in values_that_affect(spec, effects, without).items():
        section, _, key = path.partition(".")
        found.setdefault(section, {})[key] = value
    return found
