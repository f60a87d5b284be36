"""The shape of the card in a model file, which `train`, `prune`, `retrain` and `byom` write and strangers can forge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from secateur.errors import UntrustedModelError

MAX_REASON = 200  # letters of an explanation, which can repeat what is in the file

ClassName = Annotated[str, StringConstraints(min_length=1)]


def _unique(names: list[str]) -> list[str]:
    if len(set(names)) != len(names):
        raise ValueError("a name is there twice")
    return names


class _Part(BaseModel):
    """Every key can be absent, and a later version can add keys."""

    model_config = ConfigDict(extra="allow", strict=True)


class Link(_Part):
    """One link of the chain of steps (models/provenance.py)."""

    step: str | None = None
    manifest_sha256: str | None = None
    parent_sha256: str | None = None
    spec_sha256: str | None = None
    images: int | None = None
    best_epoch: int | None = None
    versions: dict[str, str] | None = None
    data: dict[str, Any] | None = None
    augment: dict[str, Any] | None = None
    model: dict[str, Any] | None = None
    train: dict[str, Any] | None = None
    prune: dict[str, Any] | None = None
    retrain: dict[str, Any] | None = None
    export: dict[str, Any] | None = None


class Preprocessing(_Part):
    """What a program must know to feed the network (export/input_scaling.py)."""

    input: dict[str, str] | None = None
    output: dict[str, str] | None = None
    embedded: bool | None = None
    channels: int | None = None
    height: int | None = None
    width: int | None = None
    bits: int | None = None
    channel_order: str | None = None
    preprocess_mode: str | None = None
    mean: list[float] | None = None
    scale: list[float] | None = None
    value_range: str | list[float] | None = None
    background: str | None = None
    max_pixels: int | None = None
    interpolation: str | None = None
    crop: str | None = None
    crop_padding: int | None = None
    resize_before_crop: str | None = None


class Origin(_Part):
    """The file that `byom` converted."""

    file: str | None = None
    sha256: str | None = None
    cut: str | None = None


class Card(_Part):
    """The card. `quantization` has its own reader, `ranges_from_json`."""

    secateur: str | None = None
    step: str | None = None
    pruned: bool | None = None
    best_epoch: int | None = None
    epoch: int | None = None
    classes: Annotated[list[ClassName], AfterValidator(_unique)] | None = None
    preprocessing: Preprocessing | None = None
    provenance: list[Link] = []
    byom: Origin | None = None
    cuts: int | None = None
    kept: dict[str, list[int]] | None = None
    identity: dict[str, Any] | None = None


def require_card(data: Any, path: Path | str) -> dict[str, Any]:
    """The same data, if it has the shape of a card.

    Args:
        data: from JSON.
        path: of the file, for the error.

    Raises:
        UntrustedModelError: the data has another shape.
    """
    try:
        Card.model_validate(data)
    except (ValidationError, RecursionError) as error:
        raise UntrustedModelError(
            f"{path}: its card is not valid: {_reason(error)}", "use the file as the program wrote it"
        ) from error
    return dict(data)


def is_link(entry: Any) -> bool:
    """Whether an entry has the shape of a link."""
    try:
        Link.model_validate(entry)
    except (ValidationError, RecursionError):
        return False
    return True


def _reason(error: ValidationError | RecursionError) -> str:
    if not isinstance(error, ValidationError):
        return "it is nested too deeply"
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}"[:MAX_REASON]
