"""DarkNet 19 (Redmon and Farhadi, arXiv:1612.08242) and 53 (arXiv:1804.02767): docs/decisions/backbones.md."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from secateur.spec import ModelSpec
from secateur.zoo.blocks import Style, classifier, image_input, max_pool, softmax_dense, unit

STEM_FILTERS = 32
STAGE_FILTERS = (64, 128, 256, 512, 1024)
# DarkNet 19: number of convolutions of each stage, 3x3 and 1x1 in turn, the 1x1 half as wide.
STAGE_CONVOLUTIONS = (1, 3, 3, 5, 5)
# DarkNet 53: residual blocks of each stage.
STAGE_RESIDUALS = (1, 2, 8, 8, 4)


def build_darknet(model_spec: ModelSpec, classes: int) -> keras.Model:
    """A DarkNet with a softmax over `classes`; its own activation is leaky ReLU of slope 0.1."""
    style = darknet_style(model_spec)
    inputs = image_input(model_spec)
    x = unit(inputs, style, STEM_FILTERS, 3, "conv1")
    for stage, filters in enumerate(STAGE_FILTERS, start=1):
        if model_spec.arch == "darknet_19":
            x = max_pool(x, f"stage_{stage}_pool")
            for number in range(1, STAGE_CONVOLUTIONS[stage - 1] + 1):
                narrow = number % 2 == 0
                width, kernel = (filters // 2, 1) if narrow else (filters, 3)
                x = unit(x, style, width, kernel, f"stage_{stage}_conv_{number}")
        else:
            x = unit(x, style, filters, 3, f"stage_{stage}_conv", stride=2)
            for number in range(1, STAGE_RESIDUALS[stage - 1] + 1):
                x = residual(x, style, filters // 2, filters, f"stage_{stage}_block_{number}")
    return keras.Model(inputs, darknet_head(x, model_spec, classes), name=model_spec.arch)


def darknet_style(model_spec: ModelSpec) -> Style:
    """The options that DarkNet and CSPDarkNet share."""
    return Style(
        activation=model_spec.activation_type or "leaky_relu",
        use_batch_norm=model_spec.use_batch_norm,
        use_bias=model_spec.use_bias,
    )


def residual(x: Any, style: Style, narrow: int, wide: int, name: str) -> Any:
    """A residual block: 1x1, then 3x3, then the shortcut, without activation after it."""
    y = unit(x, style, narrow, 1, f"{name}_conv_1")
    y = unit(y, style, wide, 3, f"{name}_conv_2")
    return layers.Add(name=f"{name}_add")([x, y])


def darknet_head(x: Any, model_spec: ModelSpec, classes: int) -> Any:
    """Global average and one dense layer; the retained head differs from the other by its name only."""
    if not model_spec.retain_head:
        return classifier(x, classes)
    return softmax_dense(layers.GlobalAveragePooling2D(name="avg_pool")(x), classes, "output_fc")


def block_of(layer_name: str) -> int | None:
    """Freeze id of a convolution of DarkNet or CSPDarkNet: 0 is conv1, 1 to 5 are the stages."""
    if layer_name == "conv1":
        return 0
    return int(layer_name.split("_")[1]) if layer_name.startswith("stage_") else None
