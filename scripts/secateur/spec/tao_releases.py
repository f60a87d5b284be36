"""One table that turns specs of other TAO releases into the words of the specification (V1).

V0 mirrors the TF1 protobuf sections; V2 is TAO 5 and 6: docs/decisions/spec-releases.md.
"""

from __future__ import annotations

from typing import Any

from secateur.errors import SpecError
from secateur.spec.yaml_file import SpecText

# Old dotted path -> V1 path. Whole sections first: later rows see the section under its new name.
SECTIONS = {
    "dataset": "data",
    "train_config": "train",
    "model_config": "model",
    "eval_config": "evaluate",
    "infer_config": "inference",
    "prune_config": "prune",
    "export_config": "export",
    "encryption_key": "key",
}
KEYS = {
    "data.augmentation": "augment",
    "num_gpus": "train.gpus",
    "train.num_gpus": "train.gpus",
    "train.train_dataset_path": "data.train_dataset_path",
    "train.val_dataset_path": "data.val_dataset_path",
    "train.preprocess_mode": "data.preprocess_mode",
    "train.image_mean": "data.image_mean",
    "train.enable_random_crop": "augment.enable_random_crop",
    "train.enable_center_crop": "augment.enable_center_crop",
    "train.enable_color_augmentation": "augment.enable_color_augmentation",
    "train.disable_horizontal_flip": "augment.disable_horizontal_flip",
    "train.mixup_alpha": "augment.mixup_alpha",
    "train.n_epochs": "train.num_epochs",
    "train.checkpoint_freq": "train.checkpoint_interval",
    "train.checkpoint": "train.pretrained_model_path",
    "model.backbone": "model.arch",
    "model.batch_norm_config": "train.bn_config",
    "evaluate.eval_dataset_path": "evaluate.dataset_path",
    "evaluate.checkpoint": "evaluate.model_path",
    "inference.checkpoint": "inference.model_path",
    "prune.checkpoint": "prune.model_path",
    "prune.pruning_threshold": "prune.threshold",
    "prune.pruning_granularity": "prune.granularity",
    "export.checkpoint": "export.model_path",
    "export.onnx_file": "export.output_path",
    "gen_trt_engine.trt_engine": "export.engine_file",
    "gen_trt_engine.tensorrt.data_type": "export.engine_data_type",
    "gen_trt_engine.tensorrt.calibration.cal_batch_size": "export.batch_size",
    "gen_trt_engine.tensorrt.calibration.cal_batches": "export.batches",
    **{
        f"gen_trt_engine.tensorrt.{key}": f"export.{key.removeprefix('calibration.')}"
        for key in (
            "max_workspace_size",
            "min_batch_size",
            "opt_batch_size",
            "max_batch_size",
            "calibration.cal_image_dir",
            "calibration.cal_cache_file",
            "calibration.cal_data_file",
        )
    },
}
LAYOUTS = {"channels_first": "nchw", "channels_last": "nhwc"}
# Defaults in TAO's code of the three V2 keys that together are V1's input_image_size.
V2_SIZE = {"input_channels": 3, "input_height": 256, "input_width": 256}


def to_v1(parsed: SpecText) -> tuple[dict[str, Any], dict[str, str]]:
    """Rename the keys of other TAO releases to V1.

    Returns:
        The values in V1's words, and {V1 path: path in the file} for every renamed key.

    Raises:
        SpecError: the file gives the same thing under two names.
    """
    values = _copied(parsed.values)
    renamed: dict[str, str] = {}
    for old, new in {**SECTIONS, **KEYS}.items():
        _move(parsed, values, renamed, old, new)
    _join_size(parsed, values, renamed)
    _layout(parsed, values, renamed)
    return values, renamed


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return list(value) if isinstance(value, list) else value


def _move(parsed: SpecText, values: dict[str, Any], renamed: dict[str, str], old: str, new: str) -> None:
    holder, name = _holder(values, old)
    if holder is None or name not in holder:
        return
    written = _as_written(renamed, old)
    target, new_name = _holder(values, new, make=True)
    if target is None:
        return  # the section is no mapping: validation says so
    if new_name in target:
        raise SpecError(f"{parsed.at(written)}: {written} and {new} are the same thing", f"keep {new} only")
    target[new_name] = holder.pop(name)
    renamed[new] = written


def _as_written(renamed: dict[str, str], path: str) -> str:
    """The path in the file, also if its section was renamed before."""
    section, _, key = path.partition(".")
    return f"{renamed[section]}.{key}" if key and section in renamed else path


def _holder(values: dict[str, Any], path: str, make: bool = False) -> tuple[dict[str, Any] | None, str]:
    *sections, name = path.split(".")
    holder: Any = values
    for section in sections:
        if make and holder.get(section) is None:
            holder[section] = {}
        holder = holder.get(section)
        if not isinstance(holder, dict):
            return None, name
    return holder, name


def _join_size(parsed: SpecText, values: dict[str, Any], renamed: dict[str, str]) -> None:
    model = values.get("model")
    if not isinstance(model, dict) or not set(V2_SIZE) & set(model):
        return
    given = [key for key in V2_SIZE if key in model]
    written = _as_written(renamed, f"model.{given[0]}")
    if "input_image_size" in model:
        raise SpecError(f"{parsed.at(written)}: {written} and model.input_image_size are the same thing", "keep one")
    model["input_image_size"] = [model.pop(key, default) for key, default in V2_SIZE.items()]
    renamed["model.input_image_size"] = written


def _layout(parsed: SpecText, values: dict[str, Any], renamed: dict[str, str]) -> None:
    for written in ("data_format", "model.data_format"):
        holder, name = _holder(values, written)
        if holder is None or name not in holder:
            continue
        layout = holder.pop(name)
        export = values.setdefault("export", {})
        if not isinstance(layout, str) or layout not in LAYOUTS:
            raise SpecError(f"{parsed.at(written)}: {written}: '{layout}'", f"use {' or '.join(LAYOUTS)}")
        if isinstance(export, dict):
            export.setdefault("layout", LAYOUTS[layout])
            renamed["export.layout"] = written
