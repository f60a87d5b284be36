"""The effects of the keys of a spec, read from the keys themselves (`secateur.spec.fields`).

This module derives the values whose change makes a step out of date, the part of a spec in a model's chain, and the
keys without effect.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel

from secateur.spec.fields import About, Effect, Section, about
from secateur.spec.spec import Spec


def nested_section(annotation: Any) -> type[BaseModel] | None:
    """The section under a key; None if the key has a value."""
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def all_keys(section: type[BaseModel] = Spec, prefix: str = "") -> Iterator[tuple[str, About]]:
    """Every key with its dotted path, also in nested sections."""
    for name, field in section.model_fields.items():
        inner, said = nested_section(field.annotation), about(field)
        if inner is not None:
            yield from all_keys(inner, f"{prefix}{name}.")
        elif said is not None:
            yield f"{prefix}{name}", said


@lru_cache
def keys_without_effect() -> dict[str, str]:
    """Dotted path -> why the key does nothing."""
    return {path: said.no_effect for path, said in all_keys() if said.no_effect}


@lru_cache
def _affecting(effects: frozenset[Effect], place: bool) -> tuple[str, ...]:
    return tuple(path for path, said in all_keys() if said.place is place and effects & set(said.affects))


def values_that_affect(spec: Spec, effects: Collection[Effect], without: Collection[str] = ()) -> dict[str, Any]:
    """Dotted path -> plain value of every key with one of these effects, except keys that name images.

    Args:
        spec: the values.
        effects: the effects to look for.
        without: sections that do not count, such as `retrain` for the first training.
    """
    values = spec.plain
    found = {}
    for path in _affecting(frozenset(effects), False):
        if path.partition(".")[0] not in without:
            value = _value(values, path)
            if value is not _ABSENT:
                found[path] = value
    return found


def places_that_affect(spec: Spec, effects: Collection[Effect]) -> dict[str, list[str]]:
    """Dotted path -> the folders, tables, archives or URLs of images that the key names. Other keys are absent."""
    values = spec.plain
    named = {path: _value(values, path) for path in _affecting(frozenset(effects), True)}
    return {path: value if isinstance(value, list) else [value] for path, value in named.items() if value}


_ABSENT = object()


def _value(values: dict[str, Any], path: str) -> Any:
    """The value at a dotted path; `_ABSENT` if a section on the path is absent."""
    found: Any = values
    for name in path.split("."):
        if not isinstance(found, dict) or name not in found:
            return _ABSENT
        found = found[name]
    return found


def result_values(section: Section | None) -> dict[str, Any]:
    """A section as nested plain data, without the keys that change no result. Empty for None."""
    if section is None:
        return {}
    plain = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        inner, said = getattr(section, name), about(field)
        if isinstance(inner, Section):
            plain[name] = result_values(inner)
            if not any(effects for _, effects in _effects_below(type(inner))):
                plain.pop(name)
        elif said is not None and set(said.affects) <= {"cache"}:
            plain.pop(name)
    return plain


def _effects_below(section: type[BaseModel]) -> Iterator[tuple[str, tuple[Effect, ...]]]:
    return ((path, said.affects) for path, said in all_keys(section))
