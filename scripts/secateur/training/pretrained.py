"""Start from the weights of another model."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras

from secateur.errors import ModelError
from secateur.modelfile import load_model


@dataclass
class WeightReport:
    """What came from the file.

    Attributes:
        path: the file.
        replaced: whether the whole network was taken, because the file says that it is pruned.
        matched: layers whose weights were copied.
        missing: layers with weights that the file does not have.
        mismatched: layer -> shapes here and in the file.
    """

    path: str
    replaced: bool = False
    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    mismatched: dict[str, dict[str, Any]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def __str__(self) -> str:
        if self.replaced:
            return f"weights: the pruned network of {self.path} is taken as it is"
        return (
            f"weights: {len(self.matched)} layers from {self.path}, {len(self.missing)} missing there, "
            f"{len(self.mismatched)} of other shape{': ' + ', '.join(self.mismatched) if self.mismatched else ''}"
        )


def start_from(model: keras.Model, path: Path | str, key: str) -> tuple[keras.Model, WeightReport]:
    """Load weights by layer name and shape; a file that says it is pruned replaces the network.

    Args:
        model: freshly built; it receives the weights.
        path: `.tlt` or `.keras`.
        key: pass phrase.

    Raises:
        ModelError: nothing matches, or the pruned network has another input or number of classes.
        ArtifactError, VaultError, UntrustedModelError: as `load_model`.
    """
    source, card = load_model(path, key)
    report = WeightReport(str(path))
    if card.get("pruned"):
        _require_same_ends(model, source, path)
        report.replaced = True
        return source, report
    theirs = {layer.name: layer for layer in source.layers if layer.weights}
    for layer in (layer for layer in model.layers if layer.weights):
        _copy_weights(layer, theirs.get(layer.name), report)
    if not report.matched:
        raise ModelError(f"{path}: no layer fits {model.name}", "check model.arch and train.pretrained_model_path")
    return model, report


def _copy_weights(layer: Any, source: Any, report: WeightReport) -> None:
    if source is None:
        report.missing.append(layer.name)
        return
    here = [tuple(weight.shape) for weight in layer.weights]
    there = [tuple(weight.shape) for weight in source.weights]
    if here == there:
        layer.set_weights(source.get_weights())
        report.matched.append(layer.name)
    else:
        report.mismatched[layer.name] = {"here": here, "file": there}


def _require_same_ends(model: keras.Model, source: keras.Model, path: Path | str) -> None:
    for end, mine, theirs in (
        ("input", model.input_shape, source.input_shape),
        ("output", model.output_shape, source.output_shape),
    ):
        if mine != theirs:
            raise ModelError(
                f"{path}: the pruned network's {end} is {theirs[1:]}, the spec asks for {mine[1:]}",
                "use the input_image_size and the classes that it was trained with",
            )
