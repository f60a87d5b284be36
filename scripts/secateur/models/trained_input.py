"""The preparation of images for a model, as the card in its file describes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from secateur.errors import ModelError
from secateur.models.provenance import chain_of
from secateur.spec import AugmentSpec, DataSpec, ModelSpec, Spec

# The keys of the spec that decide which numbers a network gets for an image. The size is compared with the graph.
INPUT_KEYS = {
    "data": ("preprocess_mode", "image_mean", "value_range", "background"),
    "augment": ("enable_center_crop",),
    "model": ("input_image_depth", "resize_interpolation_method"),
}
UNDESCRIBED = "the file does not describe its preprocessing; that of the spec is used"

Sections = tuple[DataSpec, AugmentSpec, ModelSpec]


def trained_sections(card: dict[str, Any]) -> Sections | None:
    """The sections of the spec with which a model was trained; None if its card does not have them."""
    links = {entry.get("step"): entry for entry in chain_of(card)}
    try:
        said = links.get("retrain") or links["train"]
        # Earlier versions did not read the alpha channel, and had no key for it.
        data = DataSpec(**{"background": "none", **links["split"]["data"]})
        return data, AugmentSpec(**said["augment"]), ModelSpec(**said["model"])
    except (KeyError, TypeError, ValueError):
        return None


def input_of_card(spec: Spec, card: dict[str, Any]) -> dict[str, Any]:
    """The keys, such as `data.preprocess_mode`, in which a model's training differs from a spec, with its values."""
    trained = trained_sections(card)
    if trained is None:
        return {}
    return {
        f"{name}.{key}": value
        for (name, keys), theirs in zip(INPUT_KEYS.items(), trained, strict=True)
        for key in keys
        if (value := _effective(theirs, key)) != _effective(getattr(spec, name), key)
    }


def _effective(section: BaseModel, key: str) -> Any:
    """The value of a key as plain data; None for a mean that the mode does not use."""
    if key == "image_mean" and getattr(section, "preprocess_mode", None) != "caffe":
        return None
    return section.model_dump(mode="json", include={key})[key]


def with_input(spec: Spec, values: dict[str, Any]) -> Spec:
    """The spec with other values of INPUT_KEYS. Raises ModelError for a value that is not possible."""
    changed: dict[str, dict[str, Any]] = {}
    for dotted, value in values.items():
        name, key = dotted.split(".")
        changed.setdefault(name, {})[key] = value
    try:
        # Only the changed keys are read again, since a section can hold values that its own words cannot express.
        sections = {name: _changed(getattr(spec, name), keys) for name, keys in changed.items()}
    except ValueError as error:
        raise ModelError(
            f"the model's preprocessing is not possible: {', '.join(values)}", "use another file"
        ) from error
    return spec.model_copy(update=sections)


def _changed(section: BaseModel, keys: dict[str, Any]) -> BaseModel:
    read = type(section)(**keys)
    return section.model_copy(update={key: getattr(read, key) for key in keys})


def require_same_input(spec: Spec, card: dict[str, Any], path: Path | str) -> None:
    """Require that a model was trained with the preprocessing of a spec. Raises ModelError, which names the keys."""
    apart = input_of_card(spec, card)
    if apart:
        words = ", ".join(f"{dotted} {in_words(value)}" for dotted, value in apart.items())
        here = ", ".join(f"{dotted} {in_words(_here(spec, dotted))}" for dotted in apart)
        raise ModelError(
            f"{path}: the model was trained with {words}; the spec has {here}",
            "set the spec to the values of the model, or train a model with these",
        )


def _here(spec: Spec, dotted: str) -> Any:
    name, key = dotted.split(".")
    return _effective(getattr(spec, name), key)


def in_words(value: Any) -> str:
    """A value as in a spec file."""
    return "absent" if value is None else str(value)
