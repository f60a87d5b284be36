"""Turn the content of a spec file of any TAO release into the words of the specification (V1).

See docs/decisions/spec-releases.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from secateur.errors import SpecError
from secateur.spec.architectures import DEPTHS, family_of_name
from secateur.spec.notices import Notice
from secateur.spec.placeholders import Placeholder
from secateur.spec.prune_spec import BUDGETS
from secateur.spec.release_defaults import DEFAULTS, DEPTH_OF_TF1, OPTIONAL_SECTIONS
from secateur.spec.spec_text import SpecText
from secateur.spec.tao_keys import KEYS, LAYOUTS, SECTIONS, SIZE_KEYS, WITHOUT_EFFECT
from secateur.spec.tao_releases import CHOICE, V2, Found, Release, release_of

# Goals of a prune section; only one of them can be set.
GOALS = ("threshold", *BUDGETS)
# Channels in the order of `image_mean`, and the key of a gray image.
BGR = ("b", "g", "r")
GRAY = "l"
# The numbers of a proto's enum.
INTERPOLATIONS = ("bilinear", "bicubic")
# Fixed in TF1's SqueezeNet.
SQUEEZENET_DROPOUT = 1e-3
CSPDARKNET_WORDS = ("relu", "mish")
# What migrated notebooks of TLT 2 write out where the file of TLT had a word only: its defaults are not known.
ASSUMED_OF_TLT = {"momentum": 0.9, "beta_1": 0.9, "beta_2": 0.999}
# Families whose networks have other activations in TAO if the spec names one.
WITH_ACTIVATION = ("efficientnet", "cspdarknet", "cspdarknet_tiny")
# Keys with a path, in which `$NAME` can stand.
PATHS = (
    "results_dir",
    *(f"data.{key}" for key in ("source", "train_dataset_path", "val_dataset_path")),
    "train.pretrained_model_path",
    "model.byom_model",
    *(f"evaluate.{key}" for key in ("dataset_path", "model_path")),
    *(f"inference.{key}" for key in ("image_dir", "model_path", "classmap")),
    *(f"prune.{key}" for key in ("model_path", "output_path")),
    *(f"export.{key}" for key in ("model_path", "output_path", "engine_file", "cal_image_dir")),
)
VARIABLE = re.compile(r"\$\{?(\w+)\}?")
# The word for no key, in files whose release needs one; TAO's service writes None.
NO_KEY = "none"
# What stands for the key in NVIDIA's notebooks and documents until somebody replaces it.
KEY_PLACEHOLDER = re.compile(r"ENC_KEY|KEY|\$\{?\w+\}?|<.*>|\{\{.*\}\}|%\w+%|(?i:your[ _-].*key.*)")
# The service writes words of lists so: `__BICUBIC__`.
ENUM = re.compile(r"__([A-Z0-9_]+)__")


@dataclass
class Translated:
    """A spec in V1's words.

    Attributes:
        parsed: the file.
        found: the release that it is of.
        values: sections and keys of V1, with the defaults of the release.
        explicit: dotted paths of V1 that the file sets.
        renamed: path of V1 -> path in the file, for keys with another name there.
        overridden: dotted paths of V1 that the command line sets.
        no_key: whether the file says that there is no key.
        notices: remarks about the keys of the file.
    """

    parsed: SpecText
    found: Found
    values: dict[str, Any]
    explicit: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)
    overridden: set[str] = field(default_factory=set)
    no_key: bool = False
    notices: list[Notice] = field(default_factory=list)

    def written(self, dotted: str) -> str:
        """The path in the file for a path of V1."""
        parts = dotted.split(".")
        for end in range(len(parts), 0, -1):
            head = ".".join(parts[:end])
            if head in self.renamed:
                return ".".join([self.renamed[head], *parts[end:]])
        return dotted

    def where(self, dotted: str) -> str:
        """`file:line: key` for a path of V1, in the words of the file."""
        if dotted in self.overridden:
            return f"command line: {dotted}"
        if dotted in self.parsed.origin:
            return self.parsed.origin[dotted]
        written = self.written(dotted)
        return f"{self.parsed.at(written)}: {written}"

    def note(self, kind: Any, dotted: str, text: str) -> None:
        """Add a remark about a key."""
        self.notices.append(Notice(kind, self.written(dotted), text))


def to_v1(parsed: SpecText, overrides: Sequence[str] = ()) -> Translated:
    """Rename the keys of other TAO releases, drop those without effect, and fill in the defaults of the release.

    Args:
        parsed: the file.
        overrides: words `section.key=value`, in the words of any release, that replace values of the file.

    Raises:
        SpecError: the file gives two values for the same thing, or the release has no such value.
    """
    replaced = [read_override(word) for word in overrides]
    for path, value in replaced:
        if path == CHOICE:
            parsed.values[CHOICE] = value
    spec = Translated(parsed, release_of(parsed), _copied(parsed.values))
    _service_words(spec.values)
    _choices(spec)
    for old, new in {**SECTIONS, **KEYS}.items():
        _move(spec, old, new)
    _means(spec)
    _join_size(spec)
    _layout(spec)
    for path, value in replaced:
        _override(spec, path, value)
    _special_keys(spec)
    _drop_without_effect(spec)
    spec.explicit = set(_paths(spec.values))
    _model_of_release(spec)
    _fill(spec)
    return spec


def read_override(word: str) -> tuple[str, Any]:
    """The dotted path and the value of a word `section.key=value`; the value is YAML.

    Raises:
        SpecError: the word is not of this form, or holds a key that other users could read in a list of processes.
    """
    dotted, equals, text = word.partition("=")
    if not equals or not all(dotted.split(".")):
        raise SpecError(f"'{word}' is not section.key=value", "write, for example, train.num_epochs=10")
    if dotted in ("key", "encryption_key") and text and not text.startswith(("env:", "file:")):
        raise SpecError(f"{dotted}: takes env:NAME or file:PATH here", "other users can read command lines")
    try:
        return dotted, yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise SpecError(f"{dotted}: '{text}' is not a YAML value", "quote it") from None


def v1_path(path: str) -> str:
    """The path of V1 for a path in the words of any release."""
    section, dot, rest = path.partition(".")
    path = SECTIONS.get(section, section) + dot + rest
    for old, new in KEYS.items():
        if path == old or path.startswith(f"{old}."):
            path = new + path.removeprefix(old)
    return path


def _override(spec: Translated, dotted: str, value: Any) -> None:
    path = v1_path(dotted)
    section, _, name = path.rpartition(".")
    if section == "model" and name in SIZE_KEYS:
        _override_side(spec, SIZE_KEYS.index(name), value)
        return
    if path in ("data_format", "model.data_format"):
        path, value = "export.layout", LAYOUTS.get(value, value)
    holder, key = _holder(spec.values, path, make=True)
    if holder is None:
        raise SpecError(f"'{dotted}' is not a key of a section", "write, for example, train.num_epochs=10")
    if section == "prune" and name in GOALS:
        # They exclude each other: the last word counts.
        for other in GOALS:
            holder.pop(other, None)
    holder[key] = value
    spec.overridden.add(path)


def _override_side(spec: Translated, place: int, value: Any) -> None:
    model = spec.values.setdefault("model", {})
    size = model.get("input_image_size") if isinstance(model, dict) else None
    sides = size.split(",") if isinstance(size, str) else size
    if not isinstance(sides, list) or len(sides) != len(SIZE_KEYS):
        sides = list(_sides_of(spec))
    model["input_image_size"] = [value if index == place else side for index, side in enumerate(sides)]
    spec.overridden.add("model.input_image_size")


def _sides_of(spec: Translated) -> list[int]:
    """The default size of the release; the specification's in a file of its words."""
    release = spec.found.release if "model.input_image_size" in DEFAULTS[spec.found.release] else Release.TAO_4_0
    return list(DEFAULTS[release]["model.input_image_size"])


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _paths(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")


def _move(spec: Translated, old: str, new: str) -> None:
    holder, name = _holder(spec.values, old)
    if holder is None or name not in holder or (name == "optimizer" and isinstance(holder[name], dict)):
        return
    written = _as_written(spec.renamed, old)
    target, new_name = _holder(spec.values, new, make=True)
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


def _as_written(renamed: dict[str, str], path: str) -> str:
    """The path in the file, also if its section was renamed before."""
    section, _, key = path.partition(".")
    return f"{renamed[section]}.{key}" if key and section in renamed else path


def _holder(values: dict[str, Any], path: str, make: bool = False) -> tuple[dict[str, Any] | None, str]:
    *sections, name = path.split(".")
    holder: Any = values
    for section in sections:
        if make and holder.get(section) is None:
            holder[section] = {}
        holder = holder.get(section)
        if not isinstance(holder, dict):
            return None, name
    return holder, name


def value_at(values: dict[str, Any], path: str) -> Any:
    """The value at a dotted path; None if a section or the key is absent."""
    holder, name = _holder(values, path)
    return None if holder is None else holder.get(name)


def _pop(values: dict[str, Any], path: str) -> Any:
    holder, name = _holder(values, path)
    return None if holder is None else holder.pop(name, None)


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
    written = _as_written(spec.renamed, f"model.{given[0]}")
    if "input_image_size" in model:
        raise SpecError(
            f"{spec.parsed.at(written)}: {written} and model.input_image_size are the same thing", "keep one"
        )
    release = spec.found.release if spec.found.release in V2 else Release.TAO_5_5
    sides = list(DEFAULTS[release]["model.input_image_size"])
    absent = [f"{key} {side}" for key, side in zip(SIZE_KEYS, sides, strict=True) if key not in model]
    model["input_image_size"] = [model.pop(key, side) for key, side in zip(SIZE_KEYS, sides, strict=True)]
    spec.renamed["model.input_image_size"] = written
    if absent:
        spec.notices.append(
            Notice("warning", written, f"{release.in_words}'s default for what is absent: {', '.join(absent)}")
        )


def _layout(spec: Translated) -> None:
    for written in ("data_format", "model.data_format"):
        holder, name = _holder(spec.values, written)
        if holder is None or name not in holder:
            continue
        layout = holder.pop(name)
        if not isinstance(layout, str) or layout not in LAYOUTS:
            raise SpecError(f"{spec.parsed.at(written)}: {written}: '{layout}'", f"use {' or '.join(LAYOUTS)}")
        export = spec.values.setdefault("export", {})
        if isinstance(export, dict):
            export.setdefault("layout", LAYOUTS[layout])
            spec.renamed["export.layout"] = written


def _special_keys(spec: Translated) -> None:
    """Keys whose value decides what they mean."""
    _texts_for_null(spec)
    if _pop(spec.values, "export.save_engine"):
        spec.values.setdefault("gen_trt_engine", {})
    if value_at(spec.values, "train.wandb") is not None and value_at(spec.values, "train.wandb.enable") is False:
        spec.note("no effect", "train.wandb", "enable is False: nothing is sent")
        del spec.values["train"]["wandb"]
    _pop(spec.values, "train.wandb.enable")
    if value_at(spec.values, "train.visualizer.wandb_config.key"):
        spec.note(
            "warning",
            "train.visualizer.wandb_config.key",
            "a secret in a spec; it is not used: set WANDB_API_KEY, and make a new key if others have the file",
        )
    for section in ("train", "evaluate"):
        if value_at(spec.values, f"{section}.n_workers") == 0:
            spec.note("warning", f"{section}.n_workers", "0 means no extra thread in TAO; 1 is used")
            spec.values[section]["n_workers"] = 1
    _key(spec)
    _variables(spec)
    _one_center_crop(spec)
    _label_smoothing_of_tf1(spec)
    _scope_of_tf1(spec)
    _optimizer_of_tlt(spec)
    results = spec.values.get("results_dir")
    if results == Placeholder.RESULTSDIR:
        spec.note("warning", "results_dir", "the placeholder stands for no folder; results/<experiment> is used")
        del spec.values["results_dir"]


def _label_smoothing_of_tf1(spec: Translated) -> None:
    if spec.found.release is Release.TF1 and value_at(spec.values, "train.label_smoothing"):
        spec.note("no effect", "train.label_smoothing", "TAO's TF1 never applies it: 0 is used")
        spec.values["train"]["label_smoothing"] = 0.0


def _optimizer_of_tlt(spec: Translated) -> None:
    """TLT 1 and 2 name the optimizer by a word, and where its options come from is not known."""
    word = value_at(spec.parsed.values, "train_config.optimizer")
    config = value_at(spec.values, "train.optim_config")
    if spec.found.release is not Release.TF1 or not isinstance(word, str) or not isinstance(config, dict):
        return
    options = ("momentum",) if config.get("optimizer") == "sgd" else ("beta_1", "beta_2")
    for option in options:
        config[option] = ASSUMED_OF_TLT[option]
        text = f"not known for a file of TLT; {ASSUMED_OF_TLT[option]} is assumed"
        spec.notices.append(Notice("warning", f"train_config.optim_config.{option}", text))


def _scope_of_tf1(spec: Translated) -> None:
    """TAO's TF1 splits `Conv2D, Dense` at the comma and keeps the blank, so that it knows Conv2D only."""
    scope = value_at(spec.values, "train.reg_config.scope")
    if spec.found.release is not Release.TF1 or not isinstance(scope, str):
        return
    parts = scope.split(",")
    unknown = [part for part in parts if part != part.strip()]
    if unknown:
        words = ", ".join(f"'{part}'" for part in unknown)
        spec.note("no effect", "train.reg_config.scope", f"TAO does not know {words} because of the blank")
    spec.values["train"]["reg_config"]["scope"] = [part for part in parts if part and part not in unknown]


def _key(spec: Translated) -> None:
    """The word for no key, and the placeholders that notebooks replace by a key."""
    key = spec.values.get("key")
    if isinstance(key, bool | int | float):
        spec.values["key"] = key = str(key)  # the number is the passphrase, as in TAO
    if not isinstance(key, str):
        return
    if key.strip().lower() == NO_KEY:
        spec.no_key = True
        del spec.values["key"]
    elif KEY_PLACEHOLDER.fullmatch(key.strip()):
        raise SpecError(
            f"{spec.where('key')}: {key} is a placeholder, not a passphrase", "write env:NAME, and set that variable"
        )


def _variables(spec: Translated) -> None:
    """Replace `$NAME` in paths, which NVIDIA's notebooks set as environment variables."""
    for path in PATHS:
        value = value_at(spec.values, path)
        if not isinstance(value, str) or "$" not in value:
            continue
        holder, name = _holder(spec.values, path)
        expanded = os.path.expandvars(value)
        if holder is not None:
            holder[name] = expanded
        unset = VARIABLE.search(expanded)
        if unset:
            spec.note("warning", path, f"the environment variable {unset[1]} is not set")


def _texts_for_null(spec: Translated) -> None:
    """TAO's service and its users write the text `None` for no value."""
    for path in ("model.activation_type", "prune.byom_model_path", "model.byom_model", "results_dir"):
        if value_at(spec.values, path) == "None":
            spec.note("warning", path, "the text None is read as no value")
            _pop(spec.values, path)


def _one_center_crop(spec: Translated) -> None:
    """TF1 and V0 have a centre crop for the validation while training and one for evaluation; here one is for both."""
    evaluation = _pop(spec.values, "evaluate.enable_center_crop")
    if evaluation is None:
        return
    augment = spec.values.setdefault("augment", {})
    if not isinstance(augment, dict):
        return
    training = augment.get("enable_center_crop")
    written = _as_written(spec.renamed, "evaluate.enable_center_crop")
    if training is not None and training != evaluation:
        text = f"{evaluation} counts for the validation in training too, where the file says {training}"
        spec.notices.append(Notice("differs", written, text))
    elif training is None:
        spec.renamed["augment.enable_center_crop"] = written
    augment["enable_center_crop"] = evaluation


def _drop_without_effect(spec: Translated) -> None:
    for path, reason in WITHOUT_EFFECT.items():
        holder, name = _holder(spec.values, path)
        if holder is not None and name in holder:
            spec.note("no effect", path, reason)
            del holder[name]
    activation = value_at(spec.values, "model.activation")
    if activation == {}:
        _pop(spec.values, "model.activation")


def _model_of_release(spec: Translated) -> None:
    """What TAO makes of the words of the model section that V1 has too."""
    model = spec.values.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("arch", ""), str):
        return
    release, depth = spec.found.release, model.get("n_layers")
    if release is Release.TF1:
        _model_of_tf1(spec, model)
        depth = model.get("n_layers")
    if "arch" not in model and depth is not None and release in (Release.V0, Release.TAO_4_0):
        model["arch"] = "resnet"
    family = family_of_name(model.get("arch", ""))
    if family and family not in DEPTHS and depth is not None:
        spec.note("no effect", "model.n_layers", f"{model['arch']} has one depth")
        del model["n_layers"]
    if release is Release.SPECIFICATION:
        return
    if family == "resnet" and depth is None and model["arch"].strip().lower() == family:
        model["n_layers"] = DEPTH_OF_TF1
    _activation(spec, model, family)


def _model_of_tf1(spec: Translated, model: dict[str, Any]) -> None:
    if model.get("n_layers") == 0:
        del model["n_layers"]  # proto3 cannot tell 0 from a field that is not set
    method = model.get("resize_interpolation_method")
    if isinstance(method, int) and 0 <= method < len(INTERPOLATIONS):
        model["resize_interpolation_method"] = INTERPOLATIONS[method]
    if family_of_name(model.get("arch", "")) == "squeezenet":
        if "dropout" in model:
            spec.note("no effect", "model.dropout", f"TAO's SqueezeNet always has {SQUEEZENET_DROPOUT}")
        model["dropout"] = SQUEEZENET_DROPOUT
    if value_at(spec.values, "train.optim_config.epsilon") == 0:
        _pop(spec.values, "train.optim_config.epsilon")
        spec.explicit.discard("train.optim_config.epsilon")


def _activation(spec: Translated, model: dict[str, Any], family: str) -> None:
    """Drop an activation that TAO does not read: it knows two words of CSPDarkNet, and any of EfficientNet b1 to b7."""
    word = model.get("activation_type")
    if not family or not word:
        return
    if family not in WITH_ACTIVATION or re.search(r"b0$", model["arch"].strip().lower()):
        spec.note("no effect", "model.activation_type", "TAO reads it for efficientnet-b1 to b7 and cspdarknet only")
    elif family != "efficientnet" and word not in CSPDARKNET_WORDS:
        spec.note("no effect", "model.activation_type", f"TAO's {family} knows {' and '.join(CSPDARKNET_WORDS)} only")
    else:
        return
    del model["activation_type"]


def _fill(spec: Translated) -> None:
    """Set the keys that the file leaves to the defaults of its release."""
    for path, value in DEFAULTS[spec.found.release].items():
        section = path.partition(".")[0]
        if section in OPTIONAL_SECTIONS and not isinstance(spec.values.get(section), dict):
            continue
        if path == "prune.threshold" and any(key.startswith("prune.target_") for key in spec.explicit):
            continue
        holder, name = _holder(spec.values, path, make=True)
        if holder is not None and holder.get(name) is None:
            holder[name] = _copied(_of_partial_message(spec, path, value))


def _of_partial_message(spec: Translated, path: str, value: Any) -> Any:
    """A default that depends on other keys of the file.

    In a TF1 proto a batch_norm_config with one of its two values sets the other to 0. V0 validates at checkpoints.
    """
    if spec.found.release is Release.V0 and path == "train.validation_interval":
        return value_at(spec.values, "train.checkpoint_interval") or value
    if spec.found.release is Release.TF1 and path.startswith("train.bn_config.") and "train.bn_config" in spec.explicit:
        return 0.0
    return value
