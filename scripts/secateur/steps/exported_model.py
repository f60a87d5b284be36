"""Loads the model that a run exports."""

from __future__ import annotations

import json
from typing import Any

from secateur.data.classes import read_classmap
from secateur.data.manifest import measured_rows, read_manifest
from secateur.export.exported_files import Exported
from secateur.export.final_model import FinalModel, trained_ranges
from secateur.export.parity import measured_parity
from secateur.export.runners import Runner
from secateur.models.file import load_model
from secateur.models.graph import require_outputs
from secateur.run import Run
from secateur.steps.model_card import card_of, link


def load_final_model(run: Run) -> FinalModel:
    """The model that `export.model_path` names, or the final one.

    Raises:
        SecateurError: it cannot be read, or has another number of classes.
    """
    classes = read_classmap(run.classmap)
    path = run.resolve(run.spec.export.model_path, run.model(run.final_step))
    model, card = load_model(path, run.key)
    require_outputs(model, classes, path)
    return FinalModel(run.spec, path, model, card, classes, trained_ranges(card, path))


def parity_of(run: Run, final: FinalModel, file: Exported, runner: Runner) -> dict[str, Any]:
    """The figures of an exported file on the test images of a run, or on validation where it has no test images."""
    return measured_parity(final, file, runner, *measured_rows(read_manifest(run.manifest)))


def onnx_metadata(run: Run, final: FinalModel) -> dict[str, str]:
    """What an exported file carries: the card of its model, and its own link in the chain."""
    card = final.card
    chain: list[dict[str, Any]] = [*card.get("provenance", []), link(run, "export", parent_sha256=card["sha256"])]
    return {name: json.dumps(value) for name, value in card_of(run, chain, final.classes).items()}
