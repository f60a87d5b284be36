"""What a run writes into the model files that it makes: classes, preprocessing, and the chain of its steps."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from secateur.export.input_scaling import preprocessing_of
from secateur.models.provenance import versions
from secateur.run import DATA_WITHOUT_EFFECT, WITHOUT_EFFECT_ON_RESULTS, Run
from secateur.storage.atomic import sha256_of

# What the spec says about a step; `data` stands in the first link.
SECTIONS = {
    "train": ("augment", "model", "train"),
    "prune": ("prune",),
    "retrain": ("augment", "model", "retrain"),
    "export": ("export",),
}


def split_link(run: Run, images: int) -> dict[str, Any]:
    """The first link: the manifest, which holds the digest of every image."""
    section = run.spec.data.model_dump(mode="json", exclude=DATA_WITHOUT_EFFECT)
    return {"step": "split", "manifest_sha256": sha256_of(run.manifest), "images": images, "data": section}


def link(run: Run, step: str, **more: Any) -> dict[str, Any]:
    """The link of a step of this run.

    Args:
        run: whose spec.
        step: `train`, `prune`, `retrain` or `export`.
        more: plain data, such as `parent_sha256`.
    """
    spec = run.spec.model_dump(mode="json", exclude={"key": True, "results_dir": True, "data": DATA_WITHOUT_EFFECT})
    return {
        "step": step,
        **more,
        **{name: _section(run, name) for name in SECTIONS[step]},
        "spec_sha256": hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest(),
        "versions": versions(),
    }


def _section(run: Run, name: str) -> dict[str, Any]:
    section = getattr(run.spec, name)
    return section.model_dump(mode="json", exclude=WITHOUT_EFFECT_ON_RESULTS) if section else {}


def card_of(run: Run, chain: list[dict[str, Any]], classes: list[str]) -> dict[str, Any]:
    """What a model file carries for those who use it."""
    return {"classes": classes, "preprocessing": preprocessing_of(run.spec), "provenance": chain}
