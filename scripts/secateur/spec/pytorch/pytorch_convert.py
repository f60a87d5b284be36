"""The text of the new spec for one of classification_pyt.

Every value of the file is carried over or named in the comments at the top.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from secateur.errors import SpecError
from secateur.spec.effects import nested_section
from secateur.spec.pytorch.pytorch_draft import Draft, carry_rows
from secateur.spec.pytorch.pytorch_export import carry_engine, carry_evaluation, carry_export, carry_key
from secateur.spec.pytorch.pytorch_file import File, leaves, one_line, value_at
from secateur.spec.pytorch.pytorch_forms import era_of
from secateur.spec.pytorch.pytorch_pixels import carry_augmentation, carry_pixels
from secateur.spec.pytorch.pytorch_reasons import ABSENT, ALWAYS_ON, NO_COUNTERPART, REASONS, WHOLE
from secateur.spec.pytorch.pytorch_schedule import carry_schedule
from secateur.spec.pytorch.pytorch_tables import ROWS
from secateur.spec.pytorch.pytorch_training import carry_arch, carry_optimizer, carry_trainer, carry_wandb
from secateur.spec.spec import Spec
from secateur.spec.spec_text import SpecText
from secateur.spec.yaml_text import yaml_text


def converted_pytorch(parsed: SpecText, arch: str | None) -> str:
    """The text of a spec of secateur for a spec of classification_pyt.

    Comments at the top name each key that is not carried over and each key that means something different. The new
    spec has the file's values, and defaults of classification_pyt that are not secateur's. The encryption key is not
    copied.

    Args:
        parsed: the file.
        arch: the backbone; None: that of the same name, or one of like size.

    Raises:
        SpecError: a value has a wrong type or cannot be used here; the message has file, line and key.
    """
    draft = Draft(File(parsed), era_of(parsed.values))
    _flow(draft, arch)
    _check(draft)
    name = Path(parsed.name).name
    heading = f"Converted from {name}, a spec of classification_pyt ({draft.era})."
    lines = [heading, *draft.remarks, *_not_carried(draft)]
    head = "".join(f"# {one_line(line)}\n" for line in lines)
    return head + yaml_text(_ordered(draft.values, Spec), draft.comments)


def _ordered(values: dict[str, Any], section: type[BaseModel] | None) -> dict[str, Any]:
    """The values in the order of the fields of a section."""
    if section is None:
        return values
    inner = {name: nested_section(about.annotation) for name, about in section.model_fields.items()}
    return {
        name: _ordered(values[name], inner[name]) if isinstance(values[name], dict) else values[name]
        for name in inner
        if name in values
    }


def _flow(draft: Draft, arch: str | None) -> None:
    """Carry over all keys."""
    carry_rows(draft, ROWS[draft.era])
    carry_key(draft)
    carry_pixels(draft)
    carry_augmentation(draft)
    carry_arch(draft, arch)
    carry_trainer(draft)
    carry_optimizer(draft)
    carry_schedule(draft)
    carry_wandb(draft)
    carry_evaluation(draft)
    carry_export(draft)
    carry_engine(draft)
    _absent(draft)


def _absent(draft: Draft) -> None:
    """Say what classification_pyt does by default, if the file does not say otherwise."""
    for path, text in ABSENT.items() if draft.is_six else ():
        if not draft.file.has(path):
            draft.differs(path, text)


def _not_carried(draft: Draft) -> Iterator[str]:
    """One line for each key that is not carried over; one for all keys that are off; one for all without a value."""
    off, empty = [], []
    for path, value in _unread(draft):
        place = f"{path} (line {draft.file.line(path)})"
        switch = value.get("enable", value.get("enabled")) if isinstance(value, dict) else value
        if switch is False and path not in ALWAYS_ON:
            off.append(place)
        elif value is None or value in ("", [], {}):
            empty.append(place)
        else:
            yield f"not carried over: {draft.place(path)}: {_reason(draft, path)}"
    for notice in draft.file.parsed.notices:
        empty += [f"{notice.key} (line {draft.file.parsed.line(notice.key)})"] if notice.kind == "missing" else []
    if off:
        yield f"off in the file, without a counterpart here: {', '.join(off)}"
    if empty:
        yield f"without a value: {', '.join(empty)}"


def _unread(draft: Draft) -> Iterator[tuple[str, Any]]:
    """The keys that were neither carried over nor told; a section that is lost as a whole counts as one key."""
    values, seen = draft.file.parsed.values, set()
    for path, value in leaves(values, ""):
        above = list(_above(path))
        if any(part in draft.told for part in above):
            continue
        whole = next((part for part in above if part in draft.lost or _is_lost_section(values, part)), None)
        if whole is None and path in draft.file.used:
            continue
        key = path if whole is None else whole
        if key not in seen:
            seen.add(key)
            yield key, value if whole is None else value_at(values, whole)


def _above(path: str) -> Iterator[str]:
    """The path and the sections above it, the outermost first."""
    parts = path.split(".")
    return (".".join(parts[: count + 1]) for count in range(len(parts)))


def _is_lost_section(values: dict[str, Any], path: str) -> bool:
    return path in WHOLE and bool(value_at(values, path))


def _reason(draft: Draft, path: str) -> str:
    """Why a key is not carried over: the entry of the longest path above it."""
    if path in draft.lost:
        return draft.lost[path]
    for part in reversed(list(_above(path))):
        starred = re.sub(r"^(dataset\.data)\.[^.]+", r"\1.*", part)
        if part in REASONS or starred in REASONS:
            return REASONS.get(part) or REASONS[starred]
    return NO_COUNTERPART


def _check(draft: Draft) -> None:
    """Raise SpecError with the line in the old file if a value is not possible here."""
    values = {name: value for name, value in draft.values.items() if name != "key"}
    try:
        Spec.model_validate(values)
    except ValidationError as failure:
        error = failure.errors(include_url=False)[0]
    else:
        return
    target = ".".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    source = _source(draft, target, message)
    where = draft.file.parsed.at(source) if source else draft.file.parsed.name
    name = f"{source}, here {target}" if source else target
    raise SpecError(one_line(f"{where}: {name}: {message}"), "correct the value, or convert without the key")


def _source(draft: Draft, target: str, message: str) -> str:
    """The key of the file from which a path here comes, or a path below it, first one that the message names."""
    below = [path for path in draft.origins if path.startswith(f"{target}.")]
    below.sort(key=lambda path: path.rpartition(".")[2] not in message)
    above = [path for path in _above(target) if path in draft.origins]
    return next((draft.origins[path] for path in (*reversed(above), *below)), "")
