"""The classes of a model by name: its file says which output is which class, and a run can have another order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from secateur.errors import ModelError, names_of
from secateur.models.graph import calls_of, last_layers

# Layers with one number, or one kernel, for each class.
HEADS = (layers.Dense, layers.Conv2D)
# Layers that can stand between a head and the output, and keep the order of the classes.
KEEP_ORDER = (
    layers.Activation,
    layers.Softmax,
    layers.Dropout,
    layers.Flatten,
    layers.Reshape,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
)
MOST_NAMED = 10
_named = partial(names_of, most=MOST_NAMED)
UNNAMED = "the file does not name its classes; they are taken in the order of the class map"


def same_classes(own: Sequence[str], classes: Sequence[str]) -> bool:
    """Whether two lists have the same names, in any order."""
    return sorted(own) == sorted(classes)


def require_same_classes(card: dict[str, Any], classes: list[str], path: Path | str) -> None:
    """Require that a model was trained on these classes, in any order, if its card names them. Raises ModelError."""
    own = card.get("classes")
    if own and not same_classes(own, classes):
        raise ModelError(
            f"{path}: the model was trained on the classes {_named(own)}; the class map has {_named(classes)}"
            f"{_apart(own, classes)}",
            "use the model that was trained on these classes, or the images and the class map of the model",
        )


def in_class_order(model: keras.Model, card: dict[str, Any], classes: list[str], path: Path | str) -> str:
    """Put the outputs of a model into the order of a class map, by the names in the model's card.

    Args:
        model: changed in place, if its order is another one.
        card: of its file.
        classes: names in index order, as many as the model has outputs.
        path: of the file, for messages.

    Returns:
        A sentence about what was done or could not be compared; empty if the order is the same.

    Raises:
        ModelError: the model was trained on other classes, or the order of its outputs cannot be changed.
    """
    own = card.get("classes")
    if not own:
        return f"{path}: {UNNAMED}"
    require_same_classes(card, classes, path)
    if own == classes:
        return ""
    _reorder(model, [own.index(name) for name in classes], path)
    return (
        f"{path}: the model has its {len(own)} classes in another order than the class map; its outputs are put into "
        "the order of the class map"
    )


def _reorder(model: keras.Model, order: list[int], path: Path | str) -> None:
    head = _head(model, len(order))
    if head is None:
        raise ModelError(
            f"{path}: the model has its classes in another order than the class map, and its last layers are not ones "
            "whose outputs can be reordered",
            "train with the order of the class map",
        )
    # The last axis of the kernel and of the bias is the class.
    head.set_weights([np.take(np.asarray(weight), order, axis=-1) for weight in head.weights])


def _head(model: keras.Model, classes: int) -> Any | None:
    """The layer that makes one number for each class; None if there is another kind of layer behind or in its place."""
    names = last_layers(model, lambda layer: bool(layer.weights))
    calls = calls_of(model)
    heads = [place for place, call in enumerate(calls) if call.layer.name in names]
    if len(heads) != 1:
        return None
    call, after = calls[heads[0]], calls[heads[0] + 1 :]
    one_each = call.output_shapes[0][-1] == classes and isinstance(call.layer, HEADS)
    return call.layer if one_each and all(isinstance(later.layer, KEEP_ORDER) for later in after) else None


def _apart(own: Sequence[str], classes: Sequence[str]) -> str:
    """The names that only one of two long lists has."""
    if max(len(own), len(classes)) <= MOST_NAMED:
        return ""
    only_own, only_here = sorted({*own} - {*classes}), sorted({*classes} - {*own})
    return f"; only the model has {_named(only_own)}, only the class map {_named(only_here)}"
