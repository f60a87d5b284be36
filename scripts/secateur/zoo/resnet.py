"""ResNet (He et al., arXiv:1512.03385) as TAO builds it: docs/decisions/backbones.md.

The stride is on the first convolution of a block. The first block of every stage has a projection.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from secateur.spec import ModelSpec
from secateur.zoo.blocks import Style, activate, classifier, conv, image_input, norm, padded, softmax_dense

STAGE_BLOCKS = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
STAGE_FILTERS = (64, 128, 256, 512)
BOTTLENECK_FROM = 50
BOTTLENECK_EXPANSION = 4


def build_resnet(model_spec: ModelSpec, classes: int) -> keras.Model:
    """A ResNet with a softmax over `classes`.

    With `use_pooling` the stem max-pools and stage 4 has stride 2, followed by a 7x7 average pool; without it
    stage 1 has stride 2 and stage 4 has stride 1. `padding: symmetric` pads every strided window the same on all
    sides, as the ResNet of keras.applications does; the default is TensorFlow's `same`, as in TAO.
    """
    depth = int(model_spec.arch.removeprefix("resnet_"))
    style = Style(
        activation=model_spec.activation_type or "relu",
        use_batch_norm=model_spec.use_batch_norm,
        use_bias=model_spec.use_bias,
        symmetric=model_spec.padding == "symmetric",
    )
    inputs = image_input(model_spec)
    x = conv(inputs, style, 64, 7, "conv1", stride=2)
    x = activate(norm(x, style, "bn_conv1"), style, "activation_1")
    if model_spec.use_pooling:
        x, padding = padded(x, style, 3, 2, "max_pool")
        x = layers.MaxPooling2D(3, strides=2, padding=padding, name="max_pool")(x)
    strides = (1, 2, 2, 2) if model_spec.use_pooling else (2, 2, 2, 1)
    for stage, (filters, blocks, stride) in enumerate(
        zip(STAGE_FILTERS, STAGE_BLOCKS[depth], strides, strict=True), start=1
    ):
        for block in range(blocks):
            project = block == 0 or model_spec.all_projections
            name = f"block_{stage}{block_letters(block)}"
            x = residual_block(x, style, filters, stride if block == 0 else 1, project, depth, name)
    if model_spec.use_pooling:
        x = layers.AveragePooling2D(7, strides=7, padding="same", name="avg_pool_7x7")(x)
    suffix = ("" if model_spec.use_pooling else "_nopool") + ("_bn" if model_spec.use_batch_norm else "")
    return keras.Model(inputs, _head(x, model_spec, depth, classes), name=f"resnet{depth}{suffix}")


def residual_block(x: Any, style: Style, filters: int, stride: int, project: bool, depth: int, name: str) -> Any:
    """Basic block below depth 50, bottleneck from there on."""
    bottleneck = depth >= BOTTLENECK_FROM
    kernels = (1, 3, 1) if bottleneck else (3, 3)
    last_filters = filters * (BOTTLENECK_EXPANSION if bottleneck else 1)
    shortcut = x
    if project:
        shortcut = conv(x, style, last_filters, 1, f"{name}_conv_shortcut", stride)
        shortcut = norm(shortcut, style, f"{name}_bn_shortcut")
    for index, kernel in enumerate(kernels, start=1):
        last = index == len(kernels)
        x = conv(
            x, style, last_filters if last else filters, kernel, f"{name}_conv_{index}", stride if index == 1 else 1
        )
        x = norm(x, style, f"{name}_bn_{index}")
        if not last:
            x = activate(x, style, f"{name}_act_{index}")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return activate(x, style, f"{name}_act_{len(kernels)}")


def _head(x: Any, model_spec: ModelSpec, depth: int, classes: int) -> Any:
    if not model_spec.retain_head:
        return classifier(x, classes)
    x = layers.Flatten(name="flatten")(x)
    return softmax_dense(x, classes, f"head_fc{depth}")


def block_letters(index: int) -> str:
    """A name from a, b ... z, aa, ab ..., like spreadsheet columns."""
    letters = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        letters = chr(ord("a") + letter) + letters
    return letters


def block_of(layer_name: str) -> int | None:
    """Freeze id of a convolution: 0 is the stem, 1 to 4 are the stages."""
    if layer_name == "conv1":
        return 0
    return int(layer_name[len("block_")]) if layer_name.startswith("block_") else None
