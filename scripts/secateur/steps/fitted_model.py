"""Load a model for a run: its outputs in the order of the run's classes, its images prepared as in its training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import keras

from secateur.data.classes import read_classmap
from secateur.models.class_order import in_class_order, require_same_classes
from secateur.models.file import load_model
from secateur.models.graph import require_fit
from secateur.models.provenance import chain_of
from secateur.models.trained_input import (
    UNDESCRIBED,
    in_words,
    input_of_card,
    require_same_input,
    trained_sections,
)
from secateur.run import Run
from secateur.runtime.terminal import one_line
from secateur.steps.model_card import with_card_input
from secateur.storage.atomic import sha256_of

# Steps that measure the model on the images of the run.
MEASURE = ("evaluate", "export")


@dataclass(frozen=True)
class FittedModel:
    """A model that answers in the order of a run's classes.

    Attributes:
        run: the run; its spec prepares images as in the training of the model.
        path: of the file.
        model: plain Keras.
        card: the card in the file.
        classes: names in index order.
        from_card: keys of the spec, such as `data.preprocess_mode`, that have the model's value instead.
    """

    run: Run
    path: Path
    model: keras.Model
    card: dict[str, Any]
    classes: list[str]
    from_card: dict[str, Any]


def fitted_model(
    run: Run, path: Path, step: str, stream: IO[str], classmap: Path | None = None, same_input: bool = False
) -> FittedModel:
    """Load a model and compare its card with the run.

    The file of another run keeps its own preprocessing, and the stream gets a line about it: with `model_path` the
    spec asks for that model. For a model of the run itself the spec has changed since, so it is refused.

    Args:
        run: the run.
        path: of the model.
        step: that needs it, for the messages.
        stream: for messages.
        classmap: another one than that of the run.
        same_input: refuse other preprocessing in any case, because other networks get the same images.

    Raises:
        ModelError: the model has other classes, another image size or, if that is refused, other preprocessing.
        SecateurError: a file cannot be read.
    """
    classes = read_classmap(classmap or run.classmap)
    model, card = load_model(path, run.key)
    require_same_classes(card, classes, path)
    require_fit(model, classes, run.spec.model.input_image_size, path)
    say_class_order(in_class_order(model, card, classes, path), step, stream)
    if same_input or path in run.own_models:
        require_same_input(run.spec, card, path)
        return FittedModel(run, path, model, card, classes, {})
    if trained_sections(card) is None:
        print(f"{step}  {one_line(f'{path}: {UNDESCRIBED}')}", file=stream, flush=True)
    if step in MEASURE and (words := _other_split(run, card)):
        print(f"{step}  {one_line(f'{path}: {words}')}", file=stream, flush=True)
    from_card = input_of_card(run.spec, card)
    for dotted, value in from_card.items():
        words = f"{path} was trained with {dotted} {in_words(value)}, which is used here instead of the spec's"
        print(f"{step}  {one_line(words)}", file=stream, flush=True)
    return FittedModel(with_card_input(run, from_card), path, model, card, classes, from_card)


def _other_split(run: Run, card: dict[str, Any]) -> str:
    """A warning if the model was trained on another split of images than this run's; empty if not, or if unknown."""
    trained_on = {entry.get("manifest_sha256") for entry in chain_of(card)} - {None}
    if not trained_on or sha256_of(run.manifest) in trained_on:
        return ""
    return "warning: it was trained with another split; images on which it is measured here may be of its training"


def say_class_order(words: str, step: str, stream: IO[str]) -> None:
    """Print what `in_class_order` did, if it did something."""
    if words:
        print(f"{step}  {one_line(words)}", file=stream, flush=True)
