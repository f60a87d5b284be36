"""SqueezeNet (Iandola et al., arXiv:1602.07360), version 1.0 without bypasses, as TAO builds it.

See docs/decisions/backbones.md.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from secateur.spec import ModelSpec
from secateur.zoo.blocks import Style, activate, classifier, image_input, max_pool, unit

# fire2 to fire9: filters that squeeze, and filters of each of the two expanding convolutions.
FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
POOL_BEFORE = (5, 9)


def build_squeezenet(model_spec: ModelSpec, classes: int) -> keras.Model:
    """A SqueezeNet with a softmax over `classes`. Convolutions have biases; there is no batch normalisation."""
    style = Style(
        activation=model_spec.activation_type or "relu",
        use_batch_norm=False,
        use_bias=True,
        initializer="glorot_uniform",
    )
    inputs = image_input(model_spec)
    x = unit(inputs, style, 96, 7, "conv1", stride=2)
    x = max_pool(x, "pool1", window=3)
    for number, (squeezed, expanded) in enumerate(FIRES, start=2):
        if number in POOL_BEFORE:
            x = max_pool(x, f"pool{number - 1}", window=3)
        x = fire(x, style, squeezed, expanded, f"fire{number}")
    if not model_spec.retain_head:
        outputs = classifier(x, classes, model_spec.dropout)
    else:
        outputs = _retained_head(x, style, classes, model_spec.dropout)
    return keras.Model(inputs, outputs, name="squeezenet")


def fire(x: Any, style: Style, squeezed: int, expanded: int, name: str) -> Any:
    """Squeeze by 1x1, expand by 1x1 and 3x3 side by side."""
    x = unit(x, style, squeezed, 1, f"{name}_squeeze1x1")
    branches = [unit(x, style, expanded, size, f"{name}_expand{size}x{size}") for size in (1, 3)]
    return layers.Concatenate(name=f"{name}_concat")(branches)


def _retained_head(x: Any, style: Style, classes: int, dropout: float) -> Any:
    """The classes' own convolution, averaged."""
    if dropout:
        x = layers.Dropout(dropout, name="top_dropout")(x)
    x = layers.Conv2D(classes, 1, name="conv10")(x)
    x = layers.GlobalAveragePooling2D(name="pool10")(activate(x, style, "conv10_act"))
    return layers.Activation("softmax", dtype="float32", name="predictions")(x)


def block_of(layer_name: str) -> int | None:
    """Freeze id of a convolution: 0 is conv1, i is fire(i+1)."""
    if layer_name == "conv1":
        return 0
    return int(layer_name[len("fire")]) - 1 if layer_name.startswith("fire") else None
