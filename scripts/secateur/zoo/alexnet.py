"""AlexNet (Krizhevsky et al., 2012), one column, without local response normalisation: docs/decisions/backbones.md."""

from __future__ import annotations

import keras

from secateur.spec import ModelSpec
from secateur.zoo.blocks import Style, classifier, dense_head, image_input, max_pool, unit

HEAD_DROPOUT = 0.5  # section 4.2 of the paper


def build_alexnet(model_spec: ModelSpec, classes: int) -> keras.Model:
    """An AlexNet with a softmax over `classes`. Convolutions have biases; there is no batch normalisation."""
    style = Style(
        activation=model_spec.activation_type or "relu",
        use_batch_norm=False,
        use_bias=True,
        initializer="glorot_uniform",
    )
    inputs = image_input(model_spec)
    x = unit(inputs, style, 96, 11, "conv1", stride=4)
    x = unit(max_pool(x, "pool1", window=3), style, 256, 5, "conv2")
    x = unit(max_pool(x, "pool2", window=3), style, 384, 3, "conv3")
    x = unit(x, style, 384, 3, "conv4")
    x = unit(x, style, 256, 3, "conv5")
    if model_spec.retain_head:
        outputs = dense_head(x, style, ("fc6", "fc7", "head_fc8"), classes, HEAD_DROPOUT)
    else:
        outputs = classifier(x, classes)
    return keras.Model(inputs, outputs, name="alexnet")


def block_of(layer_name: str) -> int | None:
    """Freeze id: 1 to 5 are the convolutions, 6 to 8 the dense layers of the retained head."""
    for prefix in ("conv", "head_fc", "fc"):
        if layer_name.startswith(prefix):
            return int(layer_name[len(prefix)])
    return None
