"""The card that a run writes into its model files: classes, preprocessing, and the chain of steps."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from secateur.export.input_scaling import preprocessing_of
from secateur.models.provenance import versions
from secateur.models.trained_input import with_input
from secateur.run import Run
from secateur.spec.effects import result_values
from secateur.storage.atomic import sha256_of

# In the figures of evaluate and export: keys of the spec that have the value of the model's card instead.
FROM_CARD = "from_card"
# Sections of the spec in the link of each step; `data` is in the first link.
SECTIONS = {
    "train": ("augment", "model", "train"),
    "prune": ("prune",),
    "retrain": ("augment", "model", "retrain"),
    "export": ("export",),
}


def split_link(run: Run, images: int) -> dict[str, Any]:
    """The first link: the manifest, which holds the digest of every image."""
    data = result_values(run.spec.data)
    return {"step": "split", "manifest_sha256": sha256_of(run.manifest), "images": images, "data": data}


def link(run: Run, step: str, **more: Any) -> dict[str, Any]:
    """The link of a step of this run.

    Args:
        run: the run with the spec.
        step: `train`, `prune`, `retrain` or `export`.
        more: plain data, such as `parent_sha256`.
    """
    spec = {**run.spec.plain, "data": result_values(run.spec.data), "results_dir": None}
    return {
        "step": step,
        **more,
        **{name: result_values(getattr(run.spec, name)) for name in SECTIONS[step]},
        "spec_sha256": hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest(),
        "versions": versions(),
    }


def with_card_input(run: Run, from_card: dict[str, Any]) -> Run:
    """The run with the preprocessing of another model, as `input_of_card` found it."""
    return replace(run, spec=with_input(run.spec, from_card)) if from_card else run


def card_of(run: Run, chain: list[dict[str, Any]], classes: list[str]) -> dict[str, Any]:
    """The card of a model file for its users."""
    return {"classes": classes, "preprocessing": preprocessing_of(run.spec), "provenance": chain}
