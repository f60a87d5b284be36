"""From the spec's model section to a Keras model."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import layers

from secateur.errors import ModelError, SpecError
from secateur.spec import ModelSpec
from secateur.zoo import efficientnet, resnet


class Family(NamedTuple):
    """One family of backbones: its builder, its freeze ids, and the id of a convolution by its name."""

    build: Callable[[ModelSpec, int], keras.Model]
    freeze_ids: range
    block_of: Callable[[str], int | None]


FAMILIES = {
    "resnet": Family(resnet.build_resnet, resnet.FREEZE_IDS, resnet.block_of),
    "efficientnet": Family(efficientnet.build_efficientnet, efficientnet.FREEZE_IDS, efficientnet.block_of),
}
CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D)


def build(spec: ModelSpec, num_classes: int) -> keras.Model:
    """Build the network with fresh weights, its frozen parts marked.

    Args:
        spec: the model section.
        num_classes: outputs of the softmax, at least 2.

    Returns:
        A functional model; input float32 [batch, height, width, channels], preprocessed; output float32
        [batch, num_classes], probabilities.

    Raises:
        SpecError: a freeze id that the family does not have.
        ModelError: fewer than 2 classes.
    """
    if num_classes < 2:
        raise ModelError(f"a classifier needs 2 classes or more, not {num_classes}", "check the class map")
    model = family_of(spec).build(spec, num_classes)
    freeze(model, spec)
    return model


def family_of(spec: ModelSpec) -> Family:
    """The family of a canonical arch name."""
    return next(family for name, family in FAMILIES.items() if spec.arch.startswith(name))


def freeze(model: keras.Model, spec: ModelSpec) -> None:
    """Mark the convolutions of `freeze_blocks`, and with `freeze_bn` every batch normalisation, as not trainable.

    The batch normalisation of a frozen block goes on training unless `freeze_bn` (tao-facts 1.11).

    Raises:
        SpecError: an id outside the family's range (tao-facts 3.1).
    """
    family = family_of(spec)
    blocks = set(spec.freeze_blocks or ())
    unknown = sorted(blocks - set(family.freeze_ids))
    if unknown:
        known = ", ".join(map(str, family.freeze_ids))
        raise SpecError(f"model.freeze_blocks: {spec.arch} has no block {unknown[0]}", f"its blocks are {known}")
    for layer in model.layers:
        if isinstance(layer, CONVOLUTIONS) and family.block_of(layer.name) in blocks:
            layer.trainable = False
        if isinstance(layer, layers.BatchNormalization) and spec.freeze_bn:
            layer.trainable = False
