"""Build the Keras model of a spec's model section."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import layers

from secateur.errors import ModelError, SpecError
from secateur.spec import ModelSpec
from secateur.spec.architectures import family_name
from secateur.zoo import alexnet, cspdarknet, darknet, efficientnet, googlenet, mobilenet, resnet, squeezenet, vgg


class Family(NamedTuple):
    """A family of backbones: its builder, and the function from a layer's name to its freeze id."""

    build: Callable[[ModelSpec, int], keras.Model]
    block_of: Callable[[str], int | None]


FAMILIES = {
    "resnet": Family(resnet.build_resnet, resnet.block_of),
    "efficientnet": Family(efficientnet.build_efficientnet, efficientnet.block_of),
    "vgg": Family(vgg.build_vgg, vgg.block_of),
    "mobilenet_v1": Family(mobilenet.build_mobilenet_v1, mobilenet.block_of_v1),
    "mobilenet_v2": Family(mobilenet.build_mobilenet_v2, mobilenet.block_of_v2),
    "googlenet": Family(googlenet.build_googlenet, googlenet.block_of),
    "squeezenet": Family(squeezenet.build_squeezenet, squeezenet.block_of),
    "darknet": Family(darknet.build_darknet, darknet.block_of),
    "cspdarknet": Family(cspdarknet.build_cspdarknet, darknet.block_of),
    "cspdarknet_tiny": Family(cspdarknet.build_cspdarknet, cspdarknet.block_of_tiny),
    "alexnet": Family(alexnet.build_alexnet, alexnet.block_of),
}
FREEZABLE = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)


def build(model_spec: ModelSpec, num_classes: int) -> keras.Model:
    """Build the network with fresh weights, its frozen parts marked.

    Args:
        model_spec: the model section; its arch is one of the zoo, not `byom`.
        num_classes: outputs of the softmax, at least 2.

    Returns:
        A functional model; input float32 [batch, height, width, channels], preprocessed; output float32
        [batch, num_classes], probabilities.

    Raises:
        SpecError: a freeze id that the network does not have.
        ModelError: fewer than 2 classes.
    """
    if num_classes < 2:
        raise ModelError(f"a classifier needs 2 classes or more, not {num_classes}", "check the class map")
    model = FAMILIES[family_name(model_spec.arch)].build(model_spec, num_classes)
    freeze(model, model_spec)
    return model


def freeze(model: keras.Model, model_spec: ModelSpec) -> None:
    """Mark the layers of `freeze_blocks`, and with `freeze_bn` every batch normalisation, as not trainable.

    The batch normalisation of a frozen block still trains, unless `freeze_bn` is set: docs/decisions/freeze-ids.md.

    Raises:
        SpecError: an id that no layer of the network has.
    """
    blocks = _blocks(model, model_spec)
    asked = set(model_spec.freeze_blocks or ())
    unknown = sorted(asked - set(blocks.values()))
    if unknown:
        known = ", ".join(map(str, sorted(set(blocks.values())))) or "none"
        raise SpecError(f"model.freeze_blocks: {model_spec.arch} has no block {unknown[0]}", f"its blocks are {known}")
    for layer in model.layers:
        if blocks.get(layer.name) in asked:
            layer.trainable = False
        if isinstance(layer, layers.BatchNormalization) and model_spec.freeze_bn:
            layer.trainable = False


def _blocks(model: keras.Model, model_spec: ModelSpec) -> dict[str, int]:
    """The freeze id of every layer that has one."""
    if model_spec.arch == "byom":
        return {}
    block_of = FAMILIES[family_name(model_spec.arch)].block_of
    found = {layer.name: block_of(layer.name) for layer in model.layers if isinstance(layer, FREEZABLE)}
    return {name: block for name, block in found.items() if block is not None}
