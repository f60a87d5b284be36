"""EfficientNet b0 to b7 (Tan and Le, arXiv:1905.11946) as TAO's TF2 backend builds it.

See docs/decisions/backbones.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from secateur.spec import ModelSpec
from secateur.zoo.blocks import Style, activate, average_over_map, classifier, image_input, norm


@dataclass(frozen=True)
class Stage:
    """One row of table 1 of the paper, before scaling."""

    kernel: int
    repeats: int
    filters: int
    expansion: int
    stride: int


STAGES = (
    Stage(3, 1, 16, 1, 1),
    Stage(3, 2, 24, 6, 2),
    Stage(5, 2, 40, 6, 2),
    Stage(3, 3, 80, 6, 2),
    Stage(5, 3, 112, 6, 1),
    Stage(5, 4, 192, 6, 2),
    Stage(3, 1, 320, 6, 1),
)
STEM_FILTERS, TOP_FILTERS = 32, 1280
# variant -> width factor, depth factor, dropout of the retained head
SCALES = {
    "b0": (1.0, 1.0, 0.2),
    "b1": (1.0, 1.1, 0.2),
    "b2": (1.1, 1.2, 0.3),
    "b3": (1.2, 1.4, 0.3),
    "b4": (1.4, 1.8, 0.4),
    "b5": (1.6, 2.2, 0.4),
    "b6": (1.8, 2.6, 0.5),
    "b7": (2.0, 3.1, 0.5),
}
FILTER_DIVISOR = 8
SQUEEZE_RATIO = 0.25
DROP_CONNECT = 0.2
# TAO divides by the unscaled number of blocks, so that the deeper variants exceed DROP_CONNECT.
UNSCALED_BLOCKS = sum(stage.repeats for stage in STAGES)
CONV_INIT = {"scale": 2.0, "mode": "fan_out", "distribution": "truncated_normal"}
DENSE_INIT = {"scale": 1 / 3, "mode": "fan_out", "distribution": "uniform"}


def build_efficientnet(model_spec: ModelSpec, classes: int) -> keras.Model:
    """An EfficientNet with a softmax over `classes`."""
    variant = model_spec.arch.removeprefix("efficientnet-")
    width, depth, head_dropout = SCALES[variant]
    style = Style(
        activation=model_spec.activation_type or "swish",
        bn_epsilon=1e-3,
    )
    inputs = image_input(model_spec)
    x = unit(inputs, style, scaled_filters(STEM_FILTERS, width), 3, "stem", stride=2)
    block = 0
    for number, stage in enumerate(STAGES, start=1):
        for repeat in range(math.ceil(stage.repeats * depth)):
            drop_rate = 0.0 if variant == "b0" else DROP_CONNECT * block / UNSCALED_BLOCKS
            name = f"block{number}{chr(ord('a') + repeat)}"
            x = mbconv(x, style, stage, scaled_filters(stage.filters, width), repeat == 0, drop_rate, name)
            block += 1
    x = unit(x, style, scaled_filters(TOP_FILTERS, width), 1, "top")
    outputs = _retained_head(x, classes, head_dropout) if model_spec.retain_head else classifier(x, classes)
    return keras.Model(inputs, outputs, name=model_spec.arch)


def scaled_filters(filters: int, width: float) -> int:
    """Filters times width, rounded to a multiple of 8 that is not more than 10 % below."""
    target = filters * width
    rounded = max(FILTER_DIVISOR, int(target + FILTER_DIVISOR / 2) // FILTER_DIVISOR * FILTER_DIVISOR)
    return rounded + FILTER_DIVISOR if rounded < 0.9 * target else rounded


def unit(x: Any, style: Style, filters: int, kernel: int, name: str, stride: int = 1) -> Any:
    """Convolution, batch normalisation, activation."""
    x = _conv(x, filters, kernel, f"{name}_conv", stride)
    return activate(norm(x, style, f"{name}_bn"), style, f"{name}_activation")


def mbconv(x: Any, style: Style, stage: Stage, filters: int, first: bool, drop_rate: float, name: str) -> Any:
    """Inverted residual block with squeeze and excitation."""
    inputs, input_filters = x, x.shape[-1]
    stride = stage.stride if first else 1
    if stage.expansion != 1:
        x = _conv(x, input_filters * stage.expansion, 1, f"{name}_expand_conv")
        x = activate(norm(x, style, f"{name}_expand_bn"), style, f"{name}_expand_activation")
    x = layers.DepthwiseConv2D(
        stage.kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=keras.initializers.VarianceScaling(**CONV_INIT),
        name=f"{name}_dwconv",
    )(x)
    x = activate(norm(x, style, f"{name}_bn"), style, f"{name}_activation")
    x = squeeze_excite(x, style, max(1, int(input_filters * SQUEEZE_RATIO)), name)
    x = norm(_conv(x, filters, 1, f"{name}_project_conv"), style, f"{name}_project_bn")
    if stride == 1 and filters == input_filters:
        if drop_rate > 0:
            # One draw a sample: stochastic depth (Huang et al., arXiv:1603.09382).
            x = layers.Dropout(drop_rate, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(x)
        x = layers.Add(name=f"{name}_add")([x, inputs])
    return x


def squeeze_excite(x: Any, style: Style, squeezed: int, name: str) -> Any:
    """Scale every channel by a gate computed from all channels' means (Hu et al., arXiv:1709.01507)."""
    filters = x.shape[-1]
    gate = layers.GlobalAveragePooling2D(name=f"{name}_se_squeeze")(x)
    gate = layers.Reshape((1, 1, -1), name=f"{name}_se_reshape")(gate)
    gate = _conv(gate, squeezed, 1, f"{name}_se_reduce", use_bias=True)
    gate = activate(gate, style, f"{name}_se_activation")
    gate = _conv(gate, filters, 1, f"{name}_se_expand", use_bias=True)
    gate = layers.Activation("sigmoid", name=f"{name}_se_gate")(gate)
    return layers.Multiply(name=f"{name}_se_excite")([x, gate])


def _conv(x: Any, filters: int, kernel: int, name: str, stride: int = 1, use_bias: bool = False) -> Any:
    return layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=use_bias,
        kernel_initializer=keras.initializers.VarianceScaling(**CONV_INIT),
        name=name,
    )(x)


def _retained_head(x: Any, classes: int, dropout: float) -> Any:
    x = layers.Flatten(name="flatten")(average_over_map(x))
    x = layers.Dropout(dropout, name="top_dropout")(x)
    initializer = keras.initializers.VarianceScaling(**DENSE_INIT)
    return layers.Dense(
        classes, activation="softmax", dtype="float32", kernel_initializer=initializer, name="predictions"
    )(x)


def block_of(layer_name: str) -> int | None:
    """Freeze id of a convolution: 0 is the stem, 1 to 7 are the stages, 8 is the top."""
    if layer_name.startswith("stem_"):
        return 0
    if layer_name.startswith("top_"):
        return 8
    return int(layer_name[len("block")]) if layer_name.startswith("block") else None
