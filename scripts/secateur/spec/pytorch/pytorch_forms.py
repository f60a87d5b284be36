"""Which files are specs of TAO's task classification_pyt, and of which release.

They are not specs of classification (TF1, TF2). Everything that reads a spec imports this module: it stays light.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from secateur.errors import SpecError
from secateur.spec.spec_text import SpecText

# Sections that only classification_pyt has.
MARKS = (
    ("dataset", "data"),
    ("dataset", "train_dataset"),
    ("dataset", "img_size"),
    ("train", "train_config"),
    ("train", "optim"),
)


def is_pytorch(values: Mapping[str, Any]) -> bool:
    """Whether a file is a spec of classification_pyt."""
    model = values.get("model")
    if isinstance(model, Mapping) and isinstance(model.get("backbone"), Mapping):
        return True
    return any(isinstance(values.get(section), Mapping) and key in values[section] for section, key in MARKS)


def refuse_pytorch(parsed: SpecText) -> None:
    """Raise SpecError if a file is a spec of classification_pyt."""
    if is_pytorch(parsed.values):
        raise SpecError(
            f"{parsed.name}: this is a spec of TAO's classification_pyt (PyTorch), whose networks are not here",
            f"convert what has a counterpart: secateur convert {parsed.name} --arch resnet_18",
        )


class Era(StrEnum):
    """Releases of classification_pyt with different words. The value is the name for people."""

    MMCLS = "TAO 4.0 to 5.2"
    MMPRETRAIN = "TAO 5.3 to 5.5"
    LIGHTNING = "TAO 6.x"


# Keys of the releases that were built on MMClassification and MMPretrain.
OLD_KEYS = (
    "dataset.data",
    "dataset.img_norm_cfg",
    "dataset.sampler",
    "train.train_config",
    "train.exp_config",
    "model.init_cfg",
    "model.train_cfg",
    "model.neck",
    "model.head.num_classes",
    "model.head.lr_head",
    "model.backbone.freeze",
    "model.backbone.custom_args",
)
# Names of keys, at any depth, that only one of these two has; both have `size` and `scale` with this meaning.
MMCLS_NAMES = {"flip_prob", "size", "policy", "warmup", "warmup_iters"}
MMPRETRAIN_NAMES = {
    "prob",
    "scale",
    "T_max",
    "eta_min",
    "begin",
    "auto_scale_lr_bs",
    "optim_wrapper",
    "pin_memory",
    "persistent_workers",
    "collate_fn",
    "default_hooks",
    "env_config",
    "lr_head",
    "freeze",
}


def era_of(values: Mapping[str, Any]) -> Era:
    """The release of a spec of classification_pyt, by its words; the later one if they do not settle it."""
    new = any(key in _mapping(values.get(section)) for section, key in MARKS if key not in ("data", "train_config"))
    if "data" not in _mapping(values.get("dataset")) and (new or not any(_has(values, path) for path in OLD_KEYS)):
        return Era.LIGHTNING
    names = set(_names(values))
    if "type" in _mapping(_mapping(_mapping(values.get("train")).get("train_config")).get("lr_config")):
        return Era.MMPRETRAIN
    return Era.MMCLS if len(names & MMCLS_NAMES) > len(names & MMPRETRAIN_NAMES) else Era.MMPRETRAIN


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _has(values: Mapping[str, Any], path: str) -> bool:
    *sections, name = path.split(".")
    for section in sections:
        values = _mapping(values.get(section))
    return name in values


def _names(value: Any) -> Iterable[str]:
    """The names of all keys at any depth."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            yield from value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
