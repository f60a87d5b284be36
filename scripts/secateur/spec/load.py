"""Load a YAML file of any TAO release as a typed `Spec`."""

from __future__ import annotations

import difflib
import importlib.util
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from secateur.errors import SpecError
from secateur.spec.architectures import FIXED, family_name
from secateur.spec.effects import keys_without_effect
from secateur.spec.model_spec import ModelSpec
from secateur.spec.notices import Notice
from secateur.spec.placeholders import Placeholder
from secateur.spec.prune_spec import BUDGETS
from secateur.spec.spec import Spec
from secateur.spec.tao_releases import to_v1
from secateur.spec.tracker_specs import TRACKERS
from secateur.spec.yaml_file import SpecText, parse_spec_text, read_spec_text

# The passphrases in TAO's documents and sample specs.
PUBLIC_DEFAULT_KEYS = ("nvidia_tlt", "tlt_encode")

# Goals of a prune section; only one of them can be set.
GOALS = ("threshold", *BUDGETS)

DEPTHWISE = ("efficientnet", "mobilenet_v1", "mobilenet_v2")
BETTER_FOR_DEPTHWISE = (
    "has depthwise convolutions: importance: bn_scale with ranking: uniform keeps more accuracy than TAO's default "
    "(docs/pruning.md)"
)


def load_spec(path: Path | str, overrides: Sequence[str] = ()) -> Spec:
    """Read, translate and check a spec file.

    Args:
        path: YAML file in the words of V0, V1 or V2.
        overrides: words `section.key=value` that replace values of the file; the values are YAML.

    Raises:
        SpecError: the spec is not valid; the message has file, line, dotted key and the nearest valid key.
    """
    parsed = read_spec_text(path)
    for word in overrides:
        _override(parsed, word)
    return _typed(parsed)


def parse_spec(text: str | bytes, name: str = "spec") -> Spec:
    """Load a spec from text, as `load_spec` does; `name` replaces the path in errors."""
    return _typed(parse_spec_text(text, name))


def _typed(parsed: SpecText) -> Spec:
    values, renamed = to_v1(parsed)
    if "prune" in values and values["prune"] is None:
        values["prune"] = {}  # `prune:` without keys means all defaults
    explicit = set(_paths(values))
    remarks = [Notice("renamed", old, f"is {new}") for new, old in renamed.items()]
    remarks += _prune_for_placeholder(values)
    retrain = values.pop("retrain", None)
    spec = _validated(parsed, renamed, values)
    if spec.prunes:
        merged = _retrain_values(parsed, values.get("train") or {}, retrain)
        spec = _validated(parsed, renamed, {**values, "retrain": merged})
    elif retrain is not None:
        raise SpecError(f"{parsed.at('retrain')}: retrain needs a prune section", "add `prune:` with its threshold")
    _refuse_foreign_options(parsed, renamed, spec, explicit)
    remarks += _remarks(spec, explicit, renamed)
    spec._notices = tuple(remarks)
    return spec


def _override(parsed: SpecText, word: str) -> None:
    dotted, equals, value = word.partition("=")
    if not equals or not dotted:
        raise SpecError(f"'{word}' is not section.key=value", "write, for example, train.num_epochs=10")
    if dotted in ("key", "encryption_key") and value and not value.startswith(("env:", "file:")):
        raise SpecError(f"{dotted}: takes env:NAME or file:PATH here", "other users can read command lines")
    *sections, name = dotted.split(".")
    holder: Any = parsed.values
    for section in sections:
        holder = holder.setdefault(section, {}) if isinstance(holder, dict) else None
    if not isinstance(holder, dict):
        raise SpecError(f"'{dotted}' is not a key of a section", "write, for example, train.num_epochs=10")
    if sections == ["prune"] and name in GOALS:
        # They exclude each other: the last word counts.
        for other in GOALS:
            holder.pop(other, None)
    try:
        holder[name] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise SpecError(f"{dotted}: '{value}' is not a YAML value", "quote it") from None


def _prune_for_placeholder(values: dict[str, Any]) -> list[Notice]:
    """Add a prune section if the training starts from PRUNEDMODEL, as in the specification's sample."""
    train = values.get("train")
    if not isinstance(train, dict) or train.get("pretrained_model_path") != Placeholder.PRUNEDMODEL:
        return []
    train.pop("pretrained_model_path")
    key = "train.pretrained_model_path"
    remarks = [
        Notice("warning", key, "PRUNEDMODEL is the start of retrain; the first training starts from new weights")
    ]
    if values.get("prune") is None:
        values["prune"] = {}
        remarks.append(Notice("warning", "prune", "absent; PRUNEDMODEL needs it, so its defaults are used"))
    return remarks


def _retrain_values(parsed: SpecText, train: dict[str, Any], retrain: Any) -> dict[str, Any]:
    if retrain is not None and not isinstance(retrain, dict):
        raise SpecError(f"{parsed.at('retrain')}: retrain must be a section", "write keys of train below it")
    inherited = {key: value for key, value in train.items() if key != "pretrained_model_path"}
    return _merged(inherited, retrain or {})


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _validated(parsed: SpecText, renamed: dict[str, str], values: dict[str, Any]) -> Spec:
    try:
        return Spec.model_validate({key: value for key, value in values.items() if value is not None})
    except ValidationError as failure:
        mistakes = [_mistake(parsed, renamed, error) for error in failure.errors(include_url=False)]
    raise SpecError(
        "\n".join(dict.fromkeys(text for text, _ in mistakes)),
        next((hint for _, hint in mistakes if hint), "see config/README.md for every key"),
    )


def _mistake(parsed: SpecText, renamed: dict[str, str], error: Any) -> tuple[str, str]:
    """The message of one error, and its hint."""
    dotted = ".".join(str(part) for part in error["loc"])
    written = _written(renamed, dotted)
    where = f"{parsed.at(written)}: {written}" if written else parsed.name
    if error["type"] == "extra_forbidden":
        near = _nearest(dotted)
        return f"{where}: unknown key", f"did you mean {near}?" if near else "see config/README.md for every key"
    if error["type"] in ("model_type", "dict_type"):
        return f"{where}: must be a section of keys", ""
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{where}: {_value(error)}{'must be ' if error['msg'].startswith('Input') else ''}{message}", ""


def _value(error: Any) -> str:
    value = error["input"]
    secret = error["loc"][:1] == ("key",)
    return "" if secret or isinstance(value, dict) or error["type"] == "value_error" else f"{value!r} "


def _written(renamed: dict[str, str], dotted: str) -> str:
    """The path in the file for a path of V1."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        head = ".".join(parts[:end])
        if head in renamed:
            return ".".join([renamed[head], *parts[end:]])
    return dotted


def _nearest(dotted: str) -> str:
    """The known key nearest to `dotted`: by spelling in the same section, else by name in another section."""
    known = list(_known_paths(Spec, ""))
    section, _, name = dotted.rpartition(".")
    same_name = [path for path in known if path.rpartition(".")[2] == name]
    if same_name:
        return same_name[0]
    siblings = {path.rpartition(".")[2]: path for path in known if path.rpartition(".")[0] == section}
    near = difflib.get_close_matches(name, list(siblings), n=1)
    if near:
        return siblings[near[0]]
    by_name = {path.rpartition(".")[2]: path for path in known}
    near = difflib.get_close_matches(name, list(by_name), n=1, cutoff=0.75)
    return by_name[near[0]] if near else ""


def _known_paths(section: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield f"{prefix}{name}"
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _known_paths(inner, f"{prefix}{name}.")


def _paths(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")


def _remarks(spec: Spec, explicit: set[str], renamed: dict[str, str]) -> Iterator[Notice]:
    for key, reason in keys_without_effect().items():
        if key in explicit:
            yield Notice("no effect", _written(renamed, key), reason)
    if "data.preprocess_mode" not in explicit:
        yield Notice(
            "warning", "data.preprocess_mode", "absent; torch is used (the specification has two different defaults)"
        )
    if spec.key is not None and spec.key.get_secret_value() in PUBLIC_DEFAULT_KEYS:
        yield Notice("warning", "key", "this is TAO's public default and protects nothing; use env:NAME or file:PATH")
    if spec.wants_engine and importlib.util.find_spec("tensorrt") is None:
        key = "export.engine_file" if spec.export.engine_file else "gen_trt_engine"
        yield Notice("warning", _written(renamed, key), "TensorRT is not installed on this machine: no engine is built")
    for section, tracker in itertools.product(("train", "retrain"), TRACKERS):
        key = f"{section}.{tracker}"
        if key in explicit and importlib.util.find_spec(tracker) is None:
            yield Notice("warning", _written(renamed, key), f"the package {tracker} is not installed: nothing is sent")
    yield from _model_remarks(spec, explicit)


def _model_remarks(spec: Spec, explicit: set[str]) -> Iterator[Notice]:
    fixed = FIXED[family_name(spec.model.arch)]
    for option, (value, reason) in fixed.items():
        given = getattr(spec.model, option)
        if f"model.{option}" in explicit and given not in (None, [], value):
            yield Notice("no effect", f"model.{option}", f"{spec.model.arch}: {reason}")
    if "use_batch_norm" not in fixed and "model.use_batch_norm" not in explicit:
        yield Notice(
            "warning",
            "model.use_batch_norm",
            "absent; False is used, and training is more difficult without batch normalisation",
        )
    # Measured: bench/pruning. Without batch normalisation there is no scale for bn_scale.
    normalised = spec.model.use_batch_norm or "use_batch_norm" in fixed
    chosen = {"prune.importance", "prune.ranking"} & explicit
    if spec.prunes and family_name(spec.model.arch) in DEPTHWISE and normalised and not chosen:
        yield Notice("warning", "prune", f"{spec.model.arch} {BETTER_FOR_DEPTHWISE}")
    if spec.data.image_mean and spec.data.preprocess_mode != "caffe":
        yield Notice("no effect", "data.image_mean", "only caffe mode subtracts it")


def _refuse_foreign_options(parsed: SpecText, renamed: dict[str, str], spec: Spec, explicit: set[str]) -> None:
    """Refuse an option that the family does not have, unless its value is the fixed one.

    The specification's typical values (False, 0) are accepted too: its own table has them with efficientnet-b0.
    """
    for option, (value, reason) in FIXED[family_name(spec.model.arch)].items():
        given, typical = getattr(spec.model, option), ModelSpec.model_fields[option].default
        if f"model.{option}" in explicit and given not in (value, typical, []):
            key = _written(renamed, f"model.{option}")
            raise SpecError(
                f"{parsed.at(key)}: {key}: {given} is not possible with {spec.model.arch}: {reason}", "remove the key"
            )
