"""What the sections of the spec share: strictness, types of values, and how a key says what it affects."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo

# What a key can affect: the files of one step, or something that several steps depend on.
#   pixels    what a network gets of an image outside training: every step that reads images
#   training  what a training sees and does: train with the keys of `train`, retrain with those of `retrain`
Effect = Literal[
    "split",
    "cache",
    "pixels",
    "training",
    "prune",
    "evaluate",
    "inference",
    "calibrate",
    "export",
    "latency",
    "engine",
    "bundle",
    "web",
    "pareto",
]
EFFECTS: tuple[Effect, ...] = get_args(Effect)


class Section(BaseModel):
    """Shared rules: unknown keys are errors, values cannot change, NaN and infinity are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=(), hide_input_in_errors=True
    )


class About:
    """What a key says of itself beside its type and its description; stands in the metadata of its field.

    Args:
        affects: whose files change with the value; none for a key that acts and changes no file.
        place: whether the value names images. What counts is the images, not the name.
        no_effect: why the key does nothing; empty for a key that acts.
    """

    def __init__(self, affects: tuple[Effect, ...] = (), place: bool = False, no_effect: str = "") -> None:
        self.affects, self.place, self.no_effect = affects, place, no_effect


def spec_key(default: Any, description: str, *affects: Effect, place: bool = False, **limits: Any) -> Any:
    """A key that acts.

    Args:
        default: its value where the spec does not name it; a callable makes it.
        description: for the reference and for editors.
        affects: whose files change with it; none where the key acts and changes no file, as a number of threads.
        place: whether it names images.
        limits: as pydantic's `Field` takes them.
    """
    return _field(default, description, About(affects, place), limits)


def no_effect(default: Any, why: str) -> Any:
    """A key that is accepted because TAO has it, and does nothing here."""
    return _field(default, f"no effect: {why}", About(no_effect=why), {})


def _field(default: Any, description: str, about: About, limits: dict[str, Any]) -> Any:
    made = {"default_factory": default} if callable(default) else {"default": default}
    field: Any = Field(**made, description=description, **limits)
    field.metadata.append(about)
    return field


def about(field: FieldInfo) -> About | None:
    """What a key says of itself; None for a section."""
    return next((entry for entry in field.metadata if isinstance(entry, About)), None)


def _folded(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def empty_to_none(value: Any) -> Any:
    """TAO's default specs write `''` for a path that is not set."""
    return None if isinstance(value, str) and not value.strip() else value


def _bytes(value: Any) -> Any:
    """A number of bytes from text such as `20 GB` or `512MiB`."""
    written = value.lower() if isinstance(value, str) else ""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?)b?\s*", written)
    if not found:
        return value
    factor = (1024 if found[3] else 1000) ** " kmgt".find(found[2] or " ")
    return int(float(found[1]) * factor)


def listed(value: Any) -> Any:
    """A list from text: TF1 wrote `Conv2D,Dense`; V1 writes a list."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Folded = BeforeValidator(_folded)
Bytes = Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(_bytes)]
OptionalPath = Annotated[str | None, BeforeValidator(empty_to_none)]
PositiveInt = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
