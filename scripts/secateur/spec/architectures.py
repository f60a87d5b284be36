"""Names of backbones as specs of every vintage spell them, in one canonical form.

This list is apart from the zoo so that checking a spec does not import Keras.
"""

from __future__ import annotations

import difflib
import re

RESNET_DEPTHS = (10, 18, 34, 50, 101, 152)
EFFICIENTNET_VARIANTS = tuple(f"b{n}" for n in range(8))
ARCHITECTURES = tuple(
    [f"resnet_{depth}" for depth in RESNET_DEPTHS] + [f"efficientnet-{variant}" for variant in EFFICIENTNET_VARIANTS]
)
# The specification lists freeze ids for these families; their backbones are not built yet.
PLANNED_FAMILIES = ("vgg", "mobilenet", "googlenet", "squeezenet", "darknet", "cspdarknet", "alexnet", "byom")


def canonical_arch(name: str, n_layers: int | None = None) -> str:
    """The canonical name for any spelling: `resnet` with `n_layers: 18`, `resnet18` and `ResNet-18` are `resnet_18`.

    Raises:
        ValueError: no such backbone; the message names the nearest one.
    """
    folded = re.sub(r"[\s_\-]+", "", name.strip().lower())
    by_folded = {re.sub(r"[_\-]", "", arch): arch for arch in ARCHITECTURES}
    if n_layers is not None and not folded.endswith(str(n_layers)):
        if folded in by_folded:
            raise ValueError(f"arch '{name}' and n_layers {n_layers} contradict each other; remove n_layers")
        folded += str(n_layers)
    if folded in by_folded:
        return by_folded[folded]
    if folded.startswith(PLANNED_FAMILIES):
        raise ValueError(f"the backbone '{name}' is not built yet; choose one of {', '.join(ARCHITECTURES)}")
    near = difflib.get_close_matches(folded, list(by_folded), n=1)
    suggestion = f"; did you mean '{by_folded[near[0]]}'?" if near else ""
    raise ValueError(f"unknown backbone '{name}'{suggestion} The backbones are {', '.join(ARCHITECTURES)}")
