"""Load the model that a run exports."""

from __future__ import annotations

import json
from typing import IO, Any

from secateur.export.final_model import FinalModel, trained_ranges
from secateur.models.provenance import without_places
from secateur.run import Run
from secateur.steps.fitted_model import fitted_model
from secateur.steps.model_card import card_of, link


def load_final_model(run: Run, step: str, stream: IO[str]) -> tuple[Run, FinalModel, dict[str, Any]]:
    """The model that `export.model_path` names, or the final model.

    Args:
        run: the run.
        step: that needs the model, for the messages.
        stream: for messages.

    Returns:
        The run, whose spec prepares images as in the training of the model; the model; and the keys of the spec that
        have the model's value for that.

    Raises:
        SecateurError: the model cannot be read, or has other classes.
    """
    path = run.model_to_export
    fitted = fitted_model(run, path, step, stream)
    final = FinalModel(
        fitted.run.spec, path, fitted.model, fitted.card, fitted.classes, trained_ranges(fitted.card, path)
    )
    return fitted.run, final, fitted.from_card


def onnx_metadata(run: Run, final: FinalModel) -> dict[str, str]:
    """The metadata of an exported file: the card of its model, and its own link in the chain."""
    card = final.card
    chain: list[dict[str, Any]] = [*card.get("provenance", []), link(run, "export", parent_sha256=card["sha256"])]
    if run.spec.export.provenance != "full":
        chain = without_places(chain) if run.spec.export.provenance == "digest" else []
    return {name: json.dumps(value) for name, value in card_of(run, chain, final.classes).items()}
