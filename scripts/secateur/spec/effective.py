"""A spec with all defaults filled in, for people and for comparisons. The key is never shown."""

from __future__ import annotations

from typing import Any

import yaml

from secateur.spec.spec import Spec


def effective(spec: Spec) -> str:
    """The whole spec as YAML."""
    values = spec.model_dump(mode="json", exclude_none=True, exclude={"key"})
    shown = {"results_dir": values.pop("results_dir", None), "key": "(set)" if spec.key else "(missing)", **values}
    return yaml.safe_dump({name: value for name, value in shown.items() if value is not None}, sort_keys=False)


def flattened(spec: Spec) -> dict[str, Any]:
    """Dotted key -> plain value, for every key that has a value."""
    return dict(_flat(spec.model_dump(mode="json", exclude_none=True, exclude={"key"}), ""))


def _flat(values: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        found += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return found
