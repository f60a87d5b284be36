"""Load the model that a run exports."""

from __future__ import annotations

import json
from typing import Any

from secateur.data.classes import read_classmap
from secateur.export.final_model import FinalModel, trained_ranges
from secateur.models.file import load_model
from secateur.models.graph import require_outputs
from secateur.run import Run
from secateur.steps.model_card import card_of, link


def load_final_model(run: Run) -> FinalModel:
    """The model that `export.model_path` names, or the final model.

    Raises:
        SecateurError: the model cannot be read, or has another number of classes.
    """
    classes = read_classmap(run.classmap)
    path = run.model_to_export
    model, card = load_model(path, run.key)
    require_outputs(model, classes, path)
    return FinalModel(run.spec, path, model, card, classes, trained_ranges(card, path))


def onnx_metadata(run: Run, final: FinalModel) -> dict[str, str]:
    """The metadata of an exported file: the card of its model, and its own link in the chain."""
    card = final.card
    chain: list[dict[str, Any]] = [*card.get("provenance", []), link(run, "export", parent_sha256=card["sha256"])]
    return {name: json.dumps(value) for name, value in card_of(run, chain, final.classes).items()}
