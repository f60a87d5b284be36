"""Shared parts of the sections of the spec: strictness, types of values, and the effects that a key declares."""

from __future__ import annotations

import datetime
import re
import unicodedata
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from secateur.spec.placeholders import Placeholder
from secateur.spec.spec_text import MAX_INTEGER

# Effects of a key: the files of one step, or something on which several steps depend.
#   pixels    the network input outside training: every step that reads images
#   training  a training and its images: train with the keys of `train`, retrain with the keys of `retrain`
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
# Pydantic's name for it, where it turns a float into a whole number.
TOO_MANY_DIGITS = "int_parsing_size"
EFFECTS: tuple[Effect, ...] = get_args(Effect)


class Section(BaseModel):
    """Shared rules: unknown keys are errors, values cannot change, NaN and infinity are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=(), hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _as_omegaconf(cls, values: Any) -> Any:
        """A number or a date for a text is that text, and a whole number for a switch is True unless 0, as in TAO."""
        if not isinstance(values, dict):
            return values
        return {name: _fitted(cls.model_fields.get(str(name)), value) for name, value in values.items()}

    @field_validator("*", mode="after")
    @classmethod
    def _of_64_bits(cls, value: Any) -> Any:
        """No reader of specs lets in a larger number, so that what is written from a spec can be read again."""
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            raise PydanticCustomError(TOO_MANY_DIGITS, "the number has too many digits")
        return value


def _fitted(field: FieldInfo | None, value: Any) -> Any:
    if field is None:
        return value
    kinds = {kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)}
    if kinds & {str, SecretStr} and isinstance(value, bool | int | float | datetime.date):
        return str(value)
    return bool(value) if bool in kinds and type(value) is int else value


class About:
    """Facts about a key beside its type and its description, stored in the metadata of its field.

    Args:
        affects: effects of the value; empty for a key that acts but changes no file.
        place: whether the value names images. Then the images count, not the name.
        no_effect: why the key does nothing; empty for a key that acts.
    """

    def __init__(self, affects: tuple[Effect, ...] = (), place: bool = False, no_effect: str = "") -> None:
        self.affects, self.place, self.no_effect = affects, place, no_effect


def spec_key(default: Any, description: str, *affects: Effect, place: bool = False, **limits: Any) -> Any:
    """A key that acts.

    Args:
        default: its value if the spec does not set it, or a callable that makes the value.
        description: for the reference and for editors.
        affects: effects of the value; empty if the key changes no file, such as a number of threads.
        place: whether the value names images.
        limits: arguments of pydantic's `Field`.
    """
    return _field(default, description, About(affects, place), limits)


def no_effect(default: Any, why: str) -> Any:
    """A key that is accepted because TAO has it, but does nothing here."""
    return _field(default, f"no effect: {why}", About(no_effect=why), {})


def _field(default: Any, description: str, about: About, limits: dict[str, Any]) -> Any:
    made = {"default_factory": default} if callable(default) else {"default": default}
    field: Any = Field(**made, description=description, **limits)
    field.metadata.append(about)
    return field


def about(field: FieldInfo) -> About | None:
    """The facts that a key declares; None for a section."""
    return next((entry for entry in field.metadata if isinstance(entry, About)), None)


def _folded(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def empty_to_none(value: Any) -> Any:
    """None for `''`, which TAO's default specs write for a path that is not set."""
    return None if isinstance(value, str) and not value.strip() else value


def _bytes(value: Any) -> Any:
    """The number of bytes that a text such as `20 GB` or `512MiB` means."""
    written = value.lower() if isinstance(value, str) else ""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?)b?\s*", written)
    if not found:
        return value
    factor = (1024 if found[3] else 1000) ** " kmgt".find(found[2] or " ")
    return int(float(found[1]) * factor)


def listed(value: Any) -> Any:
    """The list that a text means: TF1 wrote `Conv2D,Dense`; V1 writes a list."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def numbers(value: Any) -> Any:
    """The list that a number, or a text such as `0.3, 0.6`, means; TLT 2 wrote lists so, and a proto a lone number."""
    if isinstance(value, str):
        return listed(value)
    if isinstance(value, list):
        return [number for part in value for number in (listed(part) if isinstance(part, str) else [part])]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


Folded = BeforeValidator(_folded)
Bytes = Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(_bytes)]
# Names of files that are written stand in commands and configurations of other programs.
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=+-]*")


def output_file(*suffixes: str) -> AfterValidator:
    """A check that a path to write ends in a plain file name with one of the suffixes."""

    def checked(path: str | None) -> str | None:
        if path is None or path in tuple(Placeholder):
            return path
        name = path.rpartition("/")[2]
        if not FILE_NAME.fullmatch(name):
            raise ValueError(f"the file name {name!a} can have letters, digits and . _ = + - only")
        if any(unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") for letter in path):
            raise ValueError(f"the path {path!a} has control characters")
        if not name.endswith(suffixes):
            raise ValueError(f"must end in {' or '.join(suffixes)}: {path!a}")
        return path

    return AfterValidator(checked)


OptionalPath = Annotated[str | None, BeforeValidator(empty_to_none)]
PositiveInt = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
