"""Start from the weights of another model.

See docs/decisions/pretrained-weights.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from secateur.errors import ModelError
from secateur.models.class_order import in_class_order, same_classes
from secateur.models.file import load_model, load_weights
from secateur.models.graph import last_layers
from secateur.models.h5 import NamedWeights
from secateur.spec import ModelSpec
from secateur.spec.architectures import family_name
from secateur.zoo import keras_applications

WITH_KERNEL = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
# Name of the input layer of our networks; networks of keras.applications use another name.
OWN_INPUT = "Input"


@dataclass
class WeightReport:
    """The report of the weights that were copied from a file.

    Attributes:
        path: the file.
        replaced: whether the whole network was replaced, because the file holds a pruned network.
        matched: layers whose weights were copied.
        missing: layers of the body whose weights are not in the file.
        mismatched: layer of the body -> shapes here and in the file.
        new_head: layers before the output with new weights, which other classes need.
        adapted: the change to the first layer for another number of channels; empty if there is none.
        classes: what was done about the names of the classes; empty if the file has the same ones in the same order.
        preprocess_mode: the scaling of images with which these weights were trained; empty if it is not known.
        sha256: of the decrypted file.
    """

    path: str
    sha256: str = ""
    replaced: bool = False
    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    mismatched: dict[str, dict[str, Any]] = field(default_factory=dict)
    new_head: list[str] = field(default_factory=list)
    adapted: str = ""
    classes: str = ""
    preprocess_mode: str = ""

    def as_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        if self.replaced:
            return "; ".join(filter(None, [f"weights: using the pruned network in {self.path}", self.classes]))
        parts = [f"weights: {len(self.matched)} layers from {self.path}"]
        if self.adapted:
            parts.append(self.adapted)
        if self.missing:
            parts.append(f"{len(self.missing)} missing there: {_first(self.missing)}")
        if self.mismatched:
            shapes = [f"{name} {both['here']} here, {both['file']} there" for name, both in self.mismatched.items()]
            parts.append(f"{len(shapes)} of other shape: {_first(shapes)}")
        if self.new_head:
            parts.append(f"new head: {', '.join(self.new_head)}")
        if self.classes:
            parts.append(self.classes)
        return "; ".join(parts)


def _first(names: list[str], count: int = 5) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def start_from(
    model: keras.Model, path: Path | str, key: str | None, model_spec: ModelSpec, classes: Sequence[str] = ()
) -> tuple[keras.Model, WeightReport]:
    """Load weights by layer name and shape. A pruned network in the file replaces the model.

    If the file names its classes, a head is copied by these names; a head for other classes is not copied.

    Args:
        model: a new network; it receives the weights.
        path: `.tlt`, `.keras` or `.weights.h5` of secateur, or of keras.applications for a backbone that it has.
        key: passphrase.
        model_spec: the model section of `model`.
        classes: names in index order; empty: a head is copied by its shape alone.

    Raises:
        ModelError: no layer of the body matches, weights of keras.applications need other options, or the pruned
            network has another input or number of classes.
        ArtifactError, VaultError, UntrustedModelError: as `load_model`.
    """
    pretrained, card = load_weights(path, key)
    report = WeightReport(str(path), card["sha256"], preprocess_mode=_preprocess_mode(card))
    if card.get("pruned"):
        pruned, _ = load_model(path, key)
        _require_same_ends(model, pruned, path)
        report.replaced = True
        report.classes = _by_name(pruned, card, classes, path)
        return pruned, report
    if model_spec.arch in keras_applications.CLASSES and _is_of_keras(pretrained, model_spec.arch):
        _require_fitting_options(path, model_spec)
        report.preprocess_mode = keras_applications.PREPROCESS_MODES[family_name(model_spec.arch)]
        pretrained = _renamed(model, pretrained, model_spec.arch)
    _copy_all(model, pretrained, report, not _other_classes(card, classes))
    report.classes = _by_name(model, card, classes, path)
    return model, report


def _preprocess_mode(card: dict[str, Any]) -> str:
    """The mode with which a model of our own was trained."""
    return str((card.get("preprocessing") or {}).get("preprocess_mode") or "")


def _other_classes(card: dict[str, Any], classes: Sequence[str]) -> bool:
    """Whether the file names classes, and they are not these."""
    own = card.get("classes")
    return own is not None and bool(classes) and not same_classes(own, classes)


def _by_name(model: keras.Model, card: dict[str, Any], classes: Sequence[str], path: Path | str) -> str:
    """Put a copied head into the order of the classes. Returns what is to say; empty if there is nothing."""
    if not card.get("classes") or not classes or card["classes"] == list(classes):
        return ""
    if _other_classes(card, classes):
        return "its head was trained on other classes"
    in_class_order(model, card, list(classes), path)
    return "its classes are in another order there, and the head is put into the order of the class map"


def _is_of_keras(pretrained: NamedWeights, arch: str) -> bool:
    known = keras_applications.layer_name(arch, "conv1") if arch.startswith("resnet") else None
    return OWN_INPUT not in pretrained.names and (known is None or known in pretrained.names)


def _require_fitting_options(path: Path | str, model_spec: ModelSpec) -> None:
    differences = keras_applications.differences(model_spec)
    if differences:
        raise ModelError(
            f"{path}: weights of keras.applications need another variant of {model_spec.arch}",
            f"set {', '.join(differences)}",
        )


def _renamed(model: keras.Model, pretrained: NamedWeights, arch: str) -> NamedWeights:
    """The weights of keras.applications under our names. A 1x1 convolution that is dense here loses its empty axes."""
    renamed = NamedWeights(names=pretrained.names)
    for layer in model.layers:
        weights = pretrained.layers.get(keras_applications.layer_name(arch, layer.name))
        if weights is not None:
            flat = isinstance(layer, layers.Dense) and weights[0].shape[:2] == (1, 1) and weights[0].ndim == 4
            renamed.layers[layer.name] = [weights[0][0, 0], *weights[1:]] if flat else weights
    return renamed


def _copy_all(model: keras.Model, pretrained: NamedWeights, report: WeightReport, copy_head: bool) -> None:
    head = last_layers(model, lambda layer: isinstance(layer, WITH_KERNEL))
    with_weights = [layer for layer in model.layers if layer.weights]
    for layer in with_weights:
        stored = pretrained.layers.get(layer.name)
        if layer is with_weights[0] and stored is not None:
            stored = _adapted(layer, stored, report)
        in_head = layer.name in head
        _copy(layer, stored if copy_head or not in_head else None, report, in_head)
    if not set(report.matched) - head:
        raise ModelError(
            f"{report.path}: no layer matches {model.name}{_example(report)}",
            "check model.arch, its options and train.pretrained_model_path",
        )


def _copy(layer: Any, stored: list[NDArray[Any]] | None, report: WeightReport, in_head: bool) -> None:
    here = [tuple(weight.shape) for weight in layer.weights]
    there = [tuple(array.shape) for array in stored or ()]
    if here == there:
        layer.set_weights(stored)
        report.matched.append(layer.name)
    elif in_head:
        report.new_head.append(layer.name)
    elif stored is None:
        report.missing.append(layer.name)
    else:
        report.mismatched[layer.name] = {"here": here, "file": there}


def _adapted(layer: Any, stored: list[NDArray[Any]], report: WeightReport) -> list[NDArray[Any]]:
    """Adapt the first convolution to another number of image channels.

    From colour to gray the kernels are summed: a gray image gives the same result as a colour image of three equal
    channels. From gray to colour each channel gets a third, so that the response to a gray image does not change.
    """
    kernel = stored[0]
    channels = layer.weights[0].shape[-2]
    if kernel.ndim != 4 or kernel.shape[2] == channels or layer.weights[0].shape[:2] != kernel.shape[:2]:
        return stored
    if channels == 1:
        report.adapted = f"{layer.name}: the kernels of {kernel.shape[2]} channels are summed into 1"
        kernel = kernel.sum(axis=2, keepdims=True)
    elif kernel.shape[2] == 1:
        report.adapted = f"{layer.name}: the kernel of 1 channel is shared equally by {channels}"
        kernel = np.repeat(kernel / channels, channels, axis=2)
    return [kernel, *stored[1:]]


def _example(report: WeightReport) -> str:
    if not report.mismatched:
        return ""
    name, both = next(iter(report.mismatched.items()))
    return f"; {name} is {both['here']} here and {both['file']} there"


def _require_same_ends(model: keras.Model, pruned: keras.Model, path: Path | str) -> None:
    for end, mine, theirs in (
        ("input", model.input_shape, pruned.input_shape),
        ("output", model.output_shape, pruned.output_shape),
    ):
        if mine != theirs:
            raise ModelError(
                f"{path}: the pruned network's {end} is {theirs[1:]}, the spec asks for {mine[1:]}",
                "use the input_image_size and the classes that it was trained with",
            )
