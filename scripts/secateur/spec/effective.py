"""A spec with all defaults filled in, for people and for comparisons. The key is never shown."""

from __future__ import annotations

from typing import Any

from secateur.spec.spec import Spec
from secateur.spec.yaml_text import yaml_text


def effective(spec: Spec, origins: bool = False) -> str:
    """The whole spec as YAML.

    Args:
        spec: the spec.
        origins: add a comment to each key that says where its value comes from.
    """
    values = spec.model_dump(mode="json", exclude_none=True, exclude={"key", "tao"})
    key = "(set)" if spec.key else "(none: files are not encrypted)" if spec.plain_files else "(missing)"
    shown = {"results_dir": values.pop("results_dir", None), "key": key, **values}
    present = {name: value for name, value in shown.items() if value is not None}
    comments = {path: spec.origins.get(path, "default") for path in _paths(present)} if origins else {}
    return yaml_text(present, _of_train(spec, comments))


def _of_train(spec: Spec, comments: dict[str, str]) -> dict[str, str]:
    """The comments; a key that retrain inherits has that of train."""
    inherited = {
        path: f"from train: {comments.get(source, 'default')}"
        for path in comments
        if path.startswith("retrain.") and path not in spec.origins
        for source in (path.removeprefix("re"),)
        if source in comments
    }
    return {**comments, **inherited}


def _paths(values: dict[str, Any], prefix: str = "") -> list[str]:
    return list(dict(_flat(values, prefix)))


def flattened(spec: Spec) -> dict[str, Any]:
    """Dotted key -> plain value, for every key that has a value."""
    return dict(_flat(spec.model_dump(mode="json", exclude_none=True, exclude={"key", "tao"}), ""))


def _flat(values: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        found += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return found
