"""VGG (Simonyan and Zisserman, arXiv:1409.1556) as TAO builds it.

See docs/decisions/backbones.md.
"""

from __future__ import annotations

from typing import Any

import keras

from secateur.spec import ModelSpec
from secateur.zoo.blocks import Style, classifier, dense_head, image_input, max_pool, unit

BLOCK_CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
BLOCK_FILTERS = (64, 128, 256, 512, 512)


def build_vgg(model_spec: ModelSpec, classes: int) -> keras.Model:
    """A VGG with a softmax over `classes`.

    With `use_pooling` a max pool follows blocks 1 to 4, and block 5 before the retained head; without it the
    first convolution of blocks 2 to 5 has stride 2. `dropout` acts before each dense layer but the first of
    the retained head, or before the one dense layer that takes that head's place.
    """
    depth = int(model_spec.arch.removeprefix("vgg_"))
    style = Style(
        activation=model_spec.activation_type or "relu",
        use_batch_norm=model_spec.use_batch_norm,
        use_bias=model_spec.use_bias,
    )
    inputs: Any = image_input(model_spec)
    x = inputs
    blocks = zip(BLOCK_CONVOLUTIONS[depth], BLOCK_FILTERS, strict=True)
    for block, (convolutions, filters) in enumerate(blocks, start=1):
        for number in range(1, convolutions + 1):
            strided = not model_spec.use_pooling and block > 1 and number == 1
            x = unit(x, style, filters, 3, f"block{block}_conv{number}", stride=2 if strided else 1)
        if model_spec.use_pooling and (block < len(BLOCK_FILTERS) or model_spec.retain_head):
            x = max_pool(x, f"block{block}_pool")
    if model_spec.retain_head:
        outputs = dense_head(x, style, ("fc1", "fc2", "output_fc"), classes, model_spec.dropout)
    else:
        outputs = classifier(x, classes, model_spec.dropout)
    suffix = ("" if model_spec.use_pooling else "_nopool") + ("_bn" if model_spec.use_batch_norm else "")
    return keras.Model(inputs, outputs, name=f"vgg{depth}{suffix}")


def block_of(layer_name: str) -> int | None:
    """Freeze id of a convolution: its block, 1 to 5."""
    return int(layer_name[len("block")]) if layer_name.startswith("block") else None
