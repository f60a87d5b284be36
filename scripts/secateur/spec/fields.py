"""What the sections of the spec share: strictness, and types of values."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """Shared rules: unknown keys are errors, values cannot change, NaN and infinity are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=(), hide_input_in_errors=True
    )


def _folded(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def empty_to_none(value: Any) -> Any:
    """TAO's default specs write `''` for a path that is not set."""
    return None if isinstance(value, str) and not value.strip() else value


def listed(value: Any) -> Any:
    """A list from text: TF1 wrote `Conv2D,Dense`; V1 writes a list."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Folded = BeforeValidator(_folded)
OptionalPath = Annotated[str | None, BeforeValidator(empty_to_none)]
PositiveInt = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
