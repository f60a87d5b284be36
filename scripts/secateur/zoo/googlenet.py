"""GoogLeNet (Szegedy et al., arXiv:1409.4842) without local response normalisation and auxiliary heads.

As TAO builds it: docs/decisions/backbones.md.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from secateur.spec import ModelSpec
from secateur.zoo.blocks import Style, average_over_map, classifier, image_input, max_pool, softmax_dense, unit

# Table 1 of the paper: filters of 1x1 | before 3x3, 3x3 | before 5x5, 5x5 | after the pool.
INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
HEAD_DROPOUT = 0.4  # section 5 of the paper


def build_googlenet(model_spec: ModelSpec, classes: int) -> keras.Model:
    """A GoogLeNet with a softmax over `classes`; the pool before 5a is part of the retained head's network only."""
    style = Style(
        activation=model_spec.activation_type or "relu",
        use_batch_norm=model_spec.use_batch_norm,
        use_bias=model_spec.use_bias,
    )
    inputs = image_input(model_spec)
    x = unit(inputs, style, 64, 7, "conv1", stride=2)
    x = max_pool(x, "pool1", window=3)
    x = unit(x, style, 64, 1, "conv2_reduce")
    x = unit(x, style, 192, 3, "conv2")
    x = max_pool(x, "pool2", window=3)
    for name, filters in INCEPTIONS.items():
        if name == "4a" or (name == "5a" and model_spec.retain_head):
            x = max_pool(x, f"pool{int(name[0]) - 1}", window=3)
        x = inception(x, style, filters, f"inception_{name}")
    if model_spec.retain_head:
        x = layers.Flatten(name="flatten")(average_over_map(x))
        outputs = softmax_dense(layers.Dropout(HEAD_DROPOUT, name="top_dropout")(x), classes, "output_fc")
    else:
        outputs = classifier(x, classes)
    return keras.Model(inputs, outputs, name=f"googlenet{'_bn' if model_spec.use_batch_norm else ''}")


def inception(x: Any, style: Style, filters: tuple[int, ...], name: str) -> Any:
    """Four branches side by side, of 1x1, 3x3, 5x5 and a pool, concatenated."""
    small, before_middle, middle, before_large, large, pooled = filters
    branches = [
        unit(x, style, small, 1, f"{name}_1x1"),
        unit(unit(x, style, before_middle, 1, f"{name}_3x3_reduce"), style, middle, 3, f"{name}_3x3"),
        unit(unit(x, style, before_large, 1, f"{name}_5x5_reduce"), style, large, 5, f"{name}_5x5"),
    ]
    pool = layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}_pool")(x)
    branches.append(unit(pool, style, pooled, 1, f"{name}_pool_project"))
    return layers.Concatenate(name=f"{name}_output")(branches)


def block_of(layer_name: str) -> int | None:
    """Freeze id of a convolution: 0 is the three of the stem, 1 to 9 are the inceptions in order."""
    if layer_name.startswith("conv"):
        return 0
    return list(INCEPTIONS).index(layer_name.split("_")[1]) + 1 if layer_name.startswith("inception_") else None
