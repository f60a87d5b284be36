"""What the sections of the spec share: strictness, and types of values."""

from __future__ import annotations

import re
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
