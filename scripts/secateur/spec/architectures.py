"""Names of backbones: one canonical form for the spellings of all TAO releases.

This list is not in the zoo, so that checking a spec does not import Keras.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

ARCHITECTURES = (
    *(f"resnet_{depth}" for depth in (10, 18, 34, 50, 101, 152)),
    *(f"efficientnet-b{variant}" for variant in range(8)),
    "vgg_16",
    "vgg_19",
    "mobilenet_v1",
    "mobilenet_v2",
    "googlenet",
    "squeezenet",
    "darknet_19",
    "darknet_53",
    "cspdarknet_19",
    "cspdarknet_53",
    "cspdarknet_tiny",
    "alexnet",
)
BYOM = "byom"
# A longer name is before the shorter name with which it begins.
FAMILIES = (
    "resnet",
    "efficientnet",
    "vgg",
    "mobilenet_v1",
    "mobilenet_v2",
    "googlenet",
    "squeezenet",
    "darknet",
    "cspdarknet_tiny",
    "cspdarknet",
    "alexnet",
    BYOM,
)

# Families with several depths, which `n_layers` can name.
DEPTHS = ("resnet", "vgg", "darknet", "cspdarknet")

_STRIDES = {"use_pooling": (False, "its pooling and strides are part of the network")}
_NO_PROJECTIONS = {"all_projections": (False, "it has no shortcuts to project")}
_ALWAYS_BATCH_NORM = {
    "use_batch_norm": (True, "it always has batch normalisation"),
    "use_bias": (False, "batch normalisation replaces biases"),
}
_NEVER_BATCH_NORM = {
    "use_batch_norm": (False, "it has no batch normalisation"),
    "freeze_bn": (False, "it has no batch normalisation"),
    "use_bias": (True, "its convolutions always have biases"),
}
_NO_DROPOUT = {"dropout": (0.0, "the specification has a dropout rate for VGG and SqueezeNet only")}
_PADDING = {"padding": (None, "its padding is part of the network")}
_AS_IN_FILE = "the network is used as it is in its file"
# Options that a family does not have -> the fixed value and the reason; see docs/decisions/backbones.md.
FIXED: dict[str, dict[str, tuple[Any, str]]] = {
    "resnet": {**_NO_DROPOUT},
    "efficientnet": {
        **_STRIDES,
        **_ALWAYS_BATCH_NORM,
        **_NO_DROPOUT,
        **_PADDING,
        "all_projections": (False, "its shortcuts are identities"),
    },
    "vgg": {**_NO_PROJECTIONS, **_PADDING},
    "mobilenet_v1": {**_STRIDES, **_NO_PROJECTIONS, **_NO_DROPOUT},
    "mobilenet_v2": {**_STRIDES, **_NO_DROPOUT},
    "googlenet": {**_STRIDES, **_NO_PROJECTIONS, **_NO_DROPOUT, **_PADDING},
    "squeezenet": {**_STRIDES, **_NEVER_BATCH_NORM, **_NO_PROJECTIONS, **_PADDING},
    "darknet": {
        **_STRIDES,
        **_NO_DROPOUT,
        **_PADDING,
        "all_projections": (False, "its shortcuts are identities"),
    },
    "cspdarknet": {
        **_STRIDES,
        **_NO_DROPOUT,
        **_PADDING,
        "all_projections": (False, "its shortcuts are identities"),
    },
    "cspdarknet_tiny": {**_STRIDES, **_NO_PROJECTIONS, **_NO_DROPOUT, **_PADDING},
    "alexnet": {**_STRIDES, **_NEVER_BATCH_NORM, **_NO_PROJECTIONS, **_NO_DROPOUT, **_PADDING},
    BYOM: {
        **dict.fromkeys(("use_pooling", "use_batch_norm", "use_bias", "all_projections"), (False, _AS_IN_FILE)),
        "dropout": (0.0, _AS_IN_FILE),
        "padding": (None, _AS_IN_FILE),
        "activation_type": (None, _AS_IN_FILE),
        "freeze_blocks": (None, "a network of your own has no numbered blocks; use freeze_bn"),
    },
}


def family_name(arch: str) -> str:
    """The family of a canonical arch name."""
    return next(family for family in FAMILIES if arch.startswith(family))


def family_of_name(name: str) -> str:
    """The family of any spelling of an arch; empty if there is none."""
    folded = re.sub(r"[\s_\-]+", "", name.strip().lower())
    return next((family for family in FAMILIES if folded.startswith(family.replace("_", ""))), "")


def canonical_arch(name: str, n_layers: int | None = None) -> str:
    """The canonical name for any spelling: `resnet` with `n_layers: 18`, `resnet18` and `ResNet-18` become `resnet_18`.

    Raises:
        ValueError: there is no such backbone; the message names the nearest one.
    """
    folded = re.sub(r"[\s_\-]+", "", name.strip().lower())
    by_folded = {re.sub(r"[_\-]", "", arch): arch for arch in (*ARCHITECTURES, BYOM)}
    if n_layers is not None and not folded.endswith(str(n_layers)):
        if folded in by_folded:
            raise ValueError(f"arch '{name}' and n_layers {n_layers} contradict each other; remove n_layers")
        folded += str(n_layers)
    if folded in by_folded:
        return by_folded[folded]
    depths = [arch.rpartition("_")[2] for arch in ARCHITECTURES if arch.startswith(f"{folded}_")]
    if n_layers is None and len(depths) > 1 and folded in DEPTHS:
        raise ValueError(f"'{name}' needs n_layers {' or '.join(depths)}")
    shown = f"'{name}'" if n_layers is None else f"'{name}' with n_layers {n_layers}"
    near = difflib.get_close_matches(folded, list(by_folded), n=1)
    suggestion = f"; did you mean '{by_folded[near[0]]}'?" if near else ""
    raise ValueError(f"unknown backbone {shown}{suggestion} The backbones are {', '.join(ARCHITECTURES)}, and {BYOM}")
