"""Sweeps: one spec with lists of values. Steps that several points share run once.

This module imports no Keras, since a dry run imports it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from secateur.errors import SpecError

KEYS = {"spec", "values", "max_accuracy_drop"}
DEFAULT_DROP = 0.01
# Sections that do not affect the first training.
AFTER_TRAINING = ("prune", "retrain", "inference", "export")
AFTER_PRUNING = ("retrain", "inference", "export")
NOT_SWEPT = ("key", "encryption_key", "results_dir")
MOST_POINTS = 1000


@dataclass(frozen=True)
class Point:
    """One combination of values.

    Attributes:
        name: of the experiment that it becomes.
        values: dotted key -> value.
    """

    name: str
    values: dict[str, Any]

    @property
    def overrides(self) -> list[str]:
        """The overrides that turn the spec of the sweep into the spec of the point."""
        return [f"{key}={word(value)}" for key, value in self.values.items()]


@dataclass(frozen=True)
class Sweep:
    """One entry of `sweep:` in config.yaml.

    Attributes:
        name: it becomes `results/sweeps/<name>`.
        spec: path of the spec file.
        values: dotted key -> its list of values.
        max_accuracy_drop: how much top-1 accuracy the recommended point may lose, in [0, 1].
    """

    name: str
    spec: str
    values: dict[str, list[Any]]
    max_accuracy_drop: float = DEFAULT_DROP

    def points(self) -> list[Point]:
        """All combinations; the last key changes fastest."""
        combinations = itertools.product(*self.values.values())
        return [self._point(dict(zip(self.values, combination, strict=True))) for combination in combinations]

    def owner(self, point: Point, later: tuple[str, ...], step: str) -> Point:
        """The experiment that does a step for all points that differ only in `later` sections; it can be this point."""
        values = {key: value for key, value in point.values.items() if key.partition(".")[0] not in later}
        if values == point.values:
            return point
        named = self._point(values)
        return Point(f"{self.name}.{step}" + named.name.removeprefix(self.name), values)

    def _point(self, values: dict[str, Any]) -> Point:
        return Point(
            ".".join([self.name, *(f"{self._short(key)}-{_plain(value)}" for key, value in values.items())]), values
        )

    def _short(self, key: str) -> str:
        """The last word of a key if no other key has the same last word; else the whole key."""
        last = key.rpartition(".")[2]
        return last if sum(other.rpartition(".")[2] == last for other in self.values) == 1 else key.replace(".", "-")


def word(value: Any) -> str:
    """A value as YAML on one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("\n...\n").strip()


def _plain(value: Any) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", word(value)).strip("-.") or "none"


def read_sweeps(config: Mapping[str, Any]) -> list[Sweep]:
    """The sweeps of a configuration.

    Raises:
        SpecError: an entry is not valid; the message names the key.
    """
    entries = config.get("sweep") or {}
    if not isinstance(entries, Mapping):
        raise SpecError("sweep: must map names to sweeps", "write `sweep:`, a name below it, and `spec:` and `values:`")
    return [_sweep(str(name), entry) for name, entry in entries.items()]


def _sweep(name: str, entry: Any) -> Sweep:
    where = f"sweep.{name}"
    if not isinstance(entry, Mapping):
        raise SpecError(f"{where}: must be a section of keys", "write `spec:` and `values:` below it")
    unknown = sorted(set(entry) - KEYS)
    if unknown:
        raise SpecError(f"{where}.{unknown[0]}: unknown key", f"a sweep has {', '.join(sorted(KEYS))}")
    if not isinstance(entry.get("spec"), str):
        raise SpecError(f"{where}.spec: must name a spec file", "write the path of the spec to vary")
    drop = entry.get("max_accuracy_drop", DEFAULT_DROP)
    if not isinstance(drop, (int, float)) or not 0 <= drop <= 1:
        raise SpecError(f"{where}.max_accuracy_drop: must be 0 to 1, not {drop}", "0.01 is one point of accuracy")
    sweep = Sweep(name, entry["spec"], _values(where, entry.get("values")), float(drop))
    names = [point.name for point in sweep.points()]
    if len(set(names)) < len(names):
        raise SpecError(f"{where}.values: two points have the same name", "write each value once")
    return sweep


def _values(where: str, values: Any) -> dict[str, list[Any]]:
    if not isinstance(values, Mapping) or not values:
        raise SpecError(f"{where}.values: must map keys to lists", "write, for example, prune.target_macs: [0.75, 0.5]")
    count = 1
    for key, listed in values.items():
        if not isinstance(listed, list) or not listed:
            raise SpecError(f"{where}.values.{key}: must be a list of values", "write, for example, [0.75, 0.5, 0.25]")
        if str(key).partition(".")[0] in NOT_SWEPT:
            raise SpecError(f"{where}.values.{key}: cannot be varied", "vary keys of the spec's sections")
        count *= len(listed)
    if count > MOST_POINTS:
        raise SpecError(f"{where}.values: {count} combinations; at most {MOST_POINTS}", "split the sweep")
    return {str(key): list(listed) for key, listed in values.items()}
