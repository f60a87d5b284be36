"""Turn the content of a spec file of any TAO release into the words of the specification (V1).

See docs/decisions/spec-releases.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from secateur.errors import SpecError
from secateur.spec.notices import Notice
from secateur.spec.release_defaults import ALL_DEFAULTS, DEFAULTS, ONE_IMAGE, OPTIONAL_SECTIONS
from secateur.spec.spec_overrides import override, read_override
from secateur.spec.spec_text import SpecText
from secateur.spec.special_keys import model_of_release, special_keys
from secateur.spec.tao_keys import KEYS, LAYOUTS, SECTIONS, SIZE_KEYS, WITHOUT_EFFECT
from secateur.spec.tao_releases import CHOICE, V2, Release, release_of
from secateur.spec.translated import Translated, as_written, holder_of, paths_of, plain_copy, pop_at, value_at

# Channels in the order of `image_mean`, and the key of a gray image.
BGR = ("b", "g", "r")
GRAY = "l"
# The service writes words of lists so: `__BICUBIC__`.
ENUM = re.compile(r"__([A-Z0-9_]+)__")


def to_v1(parsed: SpecText, overrides: Sequence[str] = ()) -> Translated:
    """Rename the keys of other TAO releases, drop those without effect, and fill in the defaults of the release.

    Args:
        parsed: the file.
        overrides: words `section.key=value`, in the words of any release, that replace values of the file.

    Raises:
        SpecError: the file gives two values for the same thing, or a value that no release has.
    """
    replaced = [read_override(word) for word in overrides]
    for path, value in replaced:
        if path == CHOICE:
            parsed.values[CHOICE] = value
    spec = Translated(parsed, release_of(parsed), plain_copy(parsed.values))
    _service_words(spec.values)
    _choices(spec)
    for old, new in {**SECTIONS, **KEYS}.items():
        _move(spec, old, new)
    _means(spec)
    _join_size(spec)
    _layout(spec)
    for path, value in replaced:
        override(spec, path, value)
    special_keys(spec)
    _drop_without_effect(spec)
    spec.explicit = set(paths_of(spec.values))
    model_of_release(spec)
    _fill(spec)
    _complete_calibration(spec)
    return spec


def _move(spec: Translated, old: str, new: str) -> None:
    holder, name = holder_of(spec.values, old)
    if holder is None or name not in holder or (name == "optimizer" and isinstance(holder[name], dict)):
        return
    written = as_written(spec.renamed, old)
    target, new_name = holder_of(spec.values, new, make=True)
    if target is None:
        return  # the section is no mapping: validation says so
    if new_name in target and not _joined(target, new_name, holder[name]):
        raise SpecError(f"{spec.parsed.at(written)}: {written} and {new} are the same thing", f"keep {new} only")
    target.setdefault(new_name, holder[name])
    del holder[name]
    spec.renamed.setdefault(new, written)


def _joined(target: dict[str, Any], name: str, value: Any) -> bool:
    """Whether the two values agree: equal, or sections without a common key, which are put together."""
    here = target[name]
    if isinstance(here, dict) and isinstance(value, dict) and not set(here) & set(value):
        here.update(value)
        return True
    return bool(here == value)


def _service_words(value: Any) -> None:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(entries):
        found = ENUM.fullmatch(inner) if isinstance(inner, str) else None
        if found:
            value[key] = found[1].lower()
        else:
            _service_words(inner)


def _choices(spec: Translated) -> None:
    """Turn `optimizer { sgd { lr: 1 } }` of a proto into `optim_config: {optimizer: sgd, lr: 1}`; lr_config too."""
    section = "train_config" if "train_config" in spec.values else "train"
    train = spec.values.get(section)
    if not isinstance(train, dict):
        return
    for old, new, key in (("optimizer", "optim_config", "optimizer"), ("lr_config", "lr_config", "scheduler")):
        holder = train.get(old)
        if not isinstance(holder, dict) or not holder or not all(isinstance(part, dict) for part in holder.values()):
            continue
        chosen = list(holder)[-1]
        if len(holder) > 1:
            spec.notices.append(
                Notice("warning", f"{section}.{old}", f"holds {', '.join(holder)}; the last one, {chosen}, counts")
            )
        del train[old]
        train[new] = {key: chosen, **holder[chosen]}
        spec.renamed[f"train.{new}"] = f"{section}.{old}.{chosen}"
        spec.renamed[f"train.{new}.{key}"] = f"{section}.{old}"


def _means(spec: Translated) -> None:
    """Turn `image_mean { key: 'b' value: 103.9 }` of a proto, and a mapping, into a list in BGR order."""
    means = value_at(spec.values, "data.image_mean")
    entries = [means] if isinstance(means, dict) and "key" in means else means
    if isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in entries):
        means = {str(entry.get("key")): entry.get("value") for entry in entries}
    if not isinstance(means, dict):
        return
    keys = (GRAY,) if GRAY in means else BGR
    if not all(isinstance(means.get(key), int | float) for key in keys):
        raise SpecError(f"{spec.where('data.image_mean')} needs b, g and r, or l", "give a value for each")
    spec.values["data"]["image_mean"] = [float(means[key]) for key in keys]


def _join_size(spec: Translated) -> None:
    model = spec.values.get("model")
    if not isinstance(model, dict) or not set(SIZE_KEYS) & set(model):
        return
    given = [key for key in SIZE_KEYS if key in model]
    written = as_written(spec.renamed, f"model.{given[0]}")
    if "input_image_size" in model:
        raise SpecError(
            f"{spec.parsed.at(written)}: {written} and model.input_image_size are the same thing", "keep one"
        )
    release = spec.found.release if spec.found.release in V2 else Release.TAO_5_5
    sides = list(DEFAULTS[release]["model.input_image_size"])
    absent = [f"{key} {side}" for key, side in zip(SIZE_KEYS, sides, strict=True) if key not in model]
    model["input_image_size"] = [model.pop(key, side) for key, side in zip(SIZE_KEYS, sides, strict=True)]
    spec.renamed["model.input_image_size"] = written
    for place, key in enumerate(SIZE_KEYS):
        spec.renamed[f"model.input_image_size.{place}"] = as_written(spec.renamed, f"model.{key}")
    if absent:
        spec.notices.append(
            Notice("warning", written, f"{release.in_words}'s default for what is absent: {', '.join(absent)}")
        )


def _layout(spec: Translated) -> None:
    for written in ("data_format", "model.data_format"):
        holder, name = holder_of(spec.values, written)
        if holder is None or name not in holder:
            continue
        layout = holder.pop(name)
        if not isinstance(layout, str) or layout not in LAYOUTS:
            raise SpecError(f"{spec.parsed.at(written)}: {written}: '{layout}'", f"use {' or '.join(LAYOUTS)}")
        export = spec.values.setdefault("export", {})
        if isinstance(export, dict):
            export.setdefault("layout", LAYOUTS[layout])
            spec.renamed["export.layout"] = written


def _drop_without_effect(spec: Translated) -> None:
    for path, reason in WITHOUT_EFFECT.items():
        holder, name = holder_of(spec.values, path)
        if holder is not None and name in holder:
            spec.note("no effect", path, reason)
            del holder[name]
    activation = value_at(spec.values, "model.activation")
    if activation == {}:
        pop_at(spec.values, "model.activation")


def _fill(spec: Translated) -> None:
    """Set the keys that the file leaves to the defaults of its release."""
    for path, value in DEFAULTS[spec.found.release].items():
        section = path.partition(".")[0]
        if section in OPTIONAL_SECTIONS and not isinstance(spec.values.get(section), dict):
            continue
        if path == "prune.threshold" and any(key.startswith("prune.target_") for key in spec.explicit):
            continue
        holder, name = holder_of(spec.values, path, make=True)
        if holder is not None and holder.get(name) is None:
            holder[name] = plain_copy(_of_partial_message(spec, path, value))


def _complete_calibration(spec: Translated) -> None:
    """The number of calibration images is a product: with one factor in the file, the other is the release's."""
    export = spec.values.get("export")
    if isinstance(export, dict) and len(set(ONE_IMAGE) & spec.explicit) == 1:
        for path in ONE_IMAGE:
            export.setdefault(path.partition(".")[2], ALL_DEFAULTS[spec.found.release].get(path))


def _of_partial_message(spec: Translated, path: str, value: Any) -> Any:
    """A default that depends on other keys of the file.

    In a TF1 proto a batch_norm_config with one of its two values sets the other to 0. V0 validates at checkpoints.
    """
    if spec.found.release is Release.V0 and path == "train.validation_interval":
        return value_at(spec.values, "train.checkpoint_interval") or value
    if spec.found.release is Release.TF1 and path.startswith("train.bn_config.") and "train.bn_config" in spec.explicit:
        return 0.0
    return value
