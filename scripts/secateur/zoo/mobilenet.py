"""MobileNet v1 (Howard et al., arXiv:1704.04861) and v2 (Sandler et al., arXiv:1801.04381), as in TAO.

Layer names are those of keras.applications. See docs/decisions/backbones.md.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from secateur.spec import ModelSpec
from secateur.zoo.blocks import (
    Style,
    activate,
    average_over_map,
    classifier,
    conv,
    depthwise,
    image_input,
    norm,
    softmax_dense,
    unit,
)

STEM_FILTERS = 32
# Version 1: filters and stride of each depthwise-separable block.
SEPARABLE_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
HEAD_DROPOUT = 1e-3  # of the retained head of version 1, as keras.applications has it
# Version 2, table 2 of the paper: expansion, filters, repeats, stride.
INVERTED_RESIDUALS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
TOP_FILTERS = 1280


def build_mobilenet_v1(model_spec: ModelSpec, classes: int) -> keras.Model:
    """A MobileNet v1 with a softmax over `classes`."""
    style = _style(model_spec)
    inputs = image_input(model_spec)
    x = unit(inputs, style, STEM_FILTERS, 3, "conv1", stride=2)
    for block, (filters, stride) in enumerate(SEPARABLE_BLOCKS, start=1):
        x = depthwise(x, style, 3, f"conv_dw_{block}", stride)
        x = activate(norm(x, style, f"conv_dw_{block}_bn"), style, f"conv_dw_{block}_act")
        x = unit(x, style, filters, 1, f"conv_pw_{block}")
    return keras.Model(inputs, _head(x, model_spec, classes, HEAD_DROPOUT), name=model_spec.arch)


def build_mobilenet_v2(model_spec: ModelSpec, classes: int) -> keras.Model:
    """A MobileNet v2 with a softmax over `classes`.

    `all_projections` puts a 1x1 convolution without bias and batch normalisation on identity shortcuts.
    """
    style = _style(model_spec)
    inputs = image_input(model_spec)
    x = unit(inputs, style, STEM_FILTERS, 3, "Conv1", stride=2, bn_name="bn_Conv1")
    block = 0
    for expansion, filters, repeats, first_stride in INVERTED_RESIDUALS:
        for repeat in range(repeats):
            name = f"block_{block}" if block else "expanded_conv"
            stride = first_stride if repeat == 0 else 1
            x = inverted_residual(x, style, filters, expansion, stride, model_spec.all_projections, name)
            block += 1
    x = unit(x, style, TOP_FILTERS, 1, "Conv_1")
    return keras.Model(inputs, _head(x, model_spec, classes, 0.0), name=model_spec.arch)


def inverted_residual(x: Any, style: Style, filters: int, expansion: int, stride: int, project: bool, name: str) -> Any:
    """Expand, filter by channel, project without activation; a shortcut where the shapes agree."""
    inputs, input_filters = x, x.shape[-1]
    if expansion != 1:
        x = conv(x, style, input_filters * expansion, 1, f"{name}_expand")
        x = activate(norm(x, style, f"{name}_expand_BN"), style, f"{name}_expand_relu")
    x = depthwise(x, style, 3, f"{name}_depthwise", stride)
    x = activate(norm(x, style, f"{name}_depthwise_BN"), style, f"{name}_depthwise_relu")
    x = norm(conv(x, style, filters, 1, f"{name}_project"), style, f"{name}_project_BN")
    if stride != 1 or filters != input_filters:
        return x
    shortcut = inputs
    if project:
        shortcut = layers.Conv2D(
            filters, 1, use_bias=False, kernel_initializer=style.initializer, name=f"{name}_shortcut"
        )(inputs)
    return layers.Add(name=f"{name}_add")([shortcut, x])


def _style(model_spec: ModelSpec) -> Style:
    return Style(
        activation=model_spec.activation_type or "relu",
        use_batch_norm=model_spec.use_batch_norm,
        use_bias=model_spec.use_bias,
        bn_epsilon=1e-3,
        symmetric=model_spec.padding != "same",
    )


def _head(x: Any, model_spec: ModelSpec, classes: int, dropout: float) -> Any:
    if not model_spec.retain_head:
        return classifier(x, classes)
    x = layers.Flatten(name="flatten")(average_over_map(x))
    if dropout:
        x = layers.Dropout(dropout, name="top_dropout")(x)
    return softmax_dense(x, classes, "predictions")


def block_of_v1(layer_name: str) -> int | None:
    """Freeze id of a convolution: 0 is the stem, 1 to 13 are the blocks."""
    if layer_name == "conv1":
        return 0
    return int(layer_name.split("_")[2]) if layer_name.startswith("conv_") else None


def block_of_v2(layer_name: str) -> int | None:
    """Freeze id of a convolution: 0 is the stem, 1 to 17 are the inverted residuals, 18 is the last."""
    if layer_name == "Conv1":
        return 0
    if layer_name == "Conv_1":
        return 18
    if layer_name.startswith("expanded_conv"):
        return 1
    return int(layer_name.split("_")[1]) + 1 if layer_name.startswith("block_") else None
