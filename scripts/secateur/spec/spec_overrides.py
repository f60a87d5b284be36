"""Words `section.key=value` of the command line that replace values of a spec file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from secateur.errors import SpecError
from secateur.spec.prune_spec import BUDGETS
from secateur.spec.release_defaults import DEFAULTS
from secateur.spec.spec_text import KEYS as KEY_NAMES
from secateur.spec.spec_text import MAX_DEPTH, joined_path, named, plain_value, shortened
from secateur.spec.tao_keys import KEYS, LAYOUTS, SECTIONS, SIZE_KEYS
from secateur.spec.tao_releases import CHOICE, Release
from secateur.spec.translated import Translated, holder_of
from secateur.spec.variables import POINTERS
from secateur.spec.yaml_file import yaml_value

# Goals of a prune section; only one of them can be set.
GOALS = ("threshold", *BUDGETS)
SIZE = "model.input_image_size"
CHOSEN_MESSAGE = re.compile(r"train\.(lr_config|optimizer)\.(step|soft_anneal|cosine|sgd|adam|rmsprop)\.(\w+)$")


def read_override(word: str) -> tuple[str, Any]:
    """The dotted path and the value of a word `section.key=value`; the value is YAML.

    Raises:
        SpecError: the word is not of this form, or holds a key that other users could read in a list of processes.
    """
    dotted, equals, text = word.partition("=")
    sections = dotted.split(".")
    if named(dotted) in KEY_NAMES and text and not text.startswith(POINTERS):
        raise SpecError(f"{named(dotted)}: takes env:NAME or file:PATH here", "other users can read command lines")
    if not equals or not all(sections) or len(sections) > MAX_DEPTH:
        raise SpecError(
            f"'{shortened(named(word))}' is not section.key=value", "write, for example, train.num_epochs=10"
        )
    plain_value(dotted, "command line")
    joined_path("", dotted, "command line")
    try:
        return dotted, yaml_value(text, dotted)
    except SpecError as error:
        reason = error.message.rpartition(": ")[2]
        raise SpecError(f"{dotted}: '{shortened(text)}' is not a YAML value: {reason}", error.hint) from None


def chosen_release(overrides: Sequence[str]) -> Any:
    """The release that the words choose (`tao=5.0`); None if they choose none. Raises SpecError as `read_override`."""
    return dict(map(read_override, overrides)).get(CHOICE)


def v1_path(path: str) -> str:
    """The path of V1 for a path in the words of any release."""
    if path.startswith("retrain."):
        found = v1_path(path.removeprefix("re"))
        return f"re{found}" if found.startswith("train.") else path
    section, dot, rest = path.partition(".")
    path = SECTIONS.get(section, section) + dot + rest
    for old, new in KEYS.items():
        if (path == old or path.startswith(f"{old}.")) and not CHOSEN_MESSAGE.match(path):
            path = new + path.removeprefix(old)
    return path


def override(spec: Translated, dotted: str, value: Any) -> None:
    """Set a value, whose path is in the words of any release. Raises SpecError if the section does not exist."""
    path = v1_path(dotted)
    message = CHOSEN_MESSAGE.match(path)
    if message:
        # The words of a proto: the name of a message is a choice, and its fields are options of the choice.
        section, key = ("lr_config", "scheduler") if message[1] == "lr_config" else ("optim_config", "optimizer")
        override(spec, f"train.{section}.{key}", message[2])
        path = f"train.{section}.{message[3]}"
    if dotted.startswith("gen_trt_engine."):
        spec.values.setdefault("gen_trt_engine", {})
    section, _, name = path.rpartition(".")
    if section == "model" and name in SIZE_KEYS:
        _override_side(spec, SIZE_KEYS.index(name), value)
        spec.override(f"{SIZE}.{SIZE_KEYS.index(name)}", dotted)
        return
    if path in ("data_format", "model.data_format"):
        path, value = "export.layout", LAYOUTS.get(value, value) if isinstance(value, str) else value
    holder, key = holder_of(spec.values, path, make=True)
    if holder is None:
        raise SpecError(f"'{dotted}' is not a key of a section", "write, for example, train.num_epochs=10")
    if section == "prune" and name in GOALS:
        # They exclude each other: the last word counts.
        for other in GOALS:
            holder.pop(other, None)
    holder[key] = value
    spec.override(path, dotted)


def _override_side(spec: Translated, place: int, value: Any) -> None:
    model = spec.values.setdefault("model", {})
    size = model.get("input_image_size") if isinstance(model, dict) else None
    sides = size.split(",") if isinstance(size, str) else size
    if not isinstance(sides, list) or len(sides) != len(SIZE_KEYS):
        sides = list(_sides_of(spec))
    model["input_image_size"] = [value if index == place else side for index, side in enumerate(sides)]
    spec.overridden.setdefault(SIZE, SIZE)


def _sides_of(spec: Translated) -> list[int]:
    """The default size of the release; the specification's in a file of its words."""
    release = spec.found.release if SIZE in DEFAULTS[spec.found.release] else Release.TAO_4_0
    return list(DEFAULTS[release][SIZE])
