"""CSPDarkNet 19, 53 and tiny (Wang et al., arXiv:1911.11929 and 2011.08036): docs/decisions/backbones.md."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from secateur.spec import ModelSpec
from secateur.zoo.blocks import Style, image_input, max_pool, unit
from secateur.zoo.darknet import STAGE_FILTERS, STEM_FILTERS, darknet_head, darknet_style, residual

# Residual blocks of each stage; a stage with none is a plain convolution.
STAGE_RESIDUALS = {"cspdarknet_19": (0, 1, 1, 2, 2), "cspdarknet_53": (1, 2, 8, 8, 4)}
TINY_FILTERS, TINY_TOP_FILTERS = (64, 128, 256), 512


def build_cspdarknet(model_spec: ModelSpec, classes: int) -> keras.Model:
    """A CSPDarkNet with a softmax over `classes`; its own activation is leaky ReLU of slope 0.1."""
    style = darknet_style(model_spec)
    inputs = image_input(model_spec)
    x = (
        _tiny(inputs, style)
        if model_spec.arch == "cspdarknet_tiny"
        else _stages(inputs, style, STAGE_RESIDUALS[model_spec.arch])
    )
    return keras.Model(inputs, darknet_head(x, model_spec, classes), name=model_spec.arch)


def _stages(x: Any, style: Style, residuals: tuple[int, ...]) -> Any:
    x = unit(x, style, STEM_FILTERS, 3, "conv1")
    for stage, (filters, blocks) in enumerate(zip(STAGE_FILTERS, residuals, strict=True), start=1):
        x = unit(x, style, filters, 3, f"stage_{stage}_conv", stride=2)
        if blocks:
            # The first stage keeps its width in both branches, the others halve it.
            x = csp_stage(x, style, filters, filters if stage == 1 else filters // 2, blocks, f"stage_{stage}")
    return x


def csp_stage(x: Any, style: Style, filters: int, branch_filters: int, blocks: int, name: str) -> Any:
    """Two 1x1 branches, with residual blocks on one of them; both are concatenated and mixed."""
    shortcut = unit(x, style, branch_filters, 1, f"{name}_split_1")
    y = unit(x, style, branch_filters, 1, f"{name}_split_2")
    for number in range(1, blocks + 1):
        y = residual(y, style, filters // 2, branch_filters, f"{name}_block_{number}")
    y = unit(y, style, branch_filters, 1, f"{name}_partial_trans")
    joined = layers.Concatenate(name=f"{name}_concat")([y, shortcut])
    return unit(joined, style, filters, 1, f"{name}_final_trans")


def _tiny(x: Any, style: Style) -> Any:
    x = unit(x, style, 32, 3, "conv_0", stride=2)
    x = unit(x, style, 64, 3, "conv_1", stride=2)
    for block, filters in enumerate(TINY_FILTERS, start=2):
        x = tiny_block(x, style, filters, f"csp_{block}")
    return unit(x, style, TINY_TOP_FILTERS, 3, "conv_5")


def tiny_block(x: Any, style: Style, filters: int, name: str) -> Any:
    """A convolution of which only one half of the channels is processed further; all are concatenated at the end.

    The two halves are two convolutions side by side: the same function with the same number of weights, and no layer
    that splits channels.
    """
    half = filters // 2
    passed = unit(x, style, half, 3, f"{name}_conv_1a")
    kept = unit(x, style, half, 3, f"{name}_conv_1b")
    first = unit(kept, style, half, 3, f"{name}_conv_2")
    second = unit(first, style, half, 3, f"{name}_conv_3")
    mixed = unit(layers.Concatenate(name=f"{name}_inner_concat")([second, first]), style, filters, 1, f"{name}_conv_4")
    return max_pool(layers.Concatenate(name=f"{name}_concat")([passed, kept, mixed]), f"{name}_pool")


def block_of_tiny(layer_name: str) -> int | None:
    """Freeze id of a convolution of the tiny network: 0, 1 and 5 are convolutions, 2 to 4 the CSP blocks."""
    kind, _, rest = layer_name.partition("_")
    return int(rest[0]) if kind in ("conv", "csp") else None
