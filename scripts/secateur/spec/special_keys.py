"""Keys whose value decides what they mean, and words that mean something else in one release.

See docs/decisions/spec-releases.md.
"""

from __future__ import annotations

import re
from typing import Any

from secateur.errors import SpecError
from secateur.spec.architectures import DEPTHS, family_of_name
from secateur.spec.notices import Notice
from secateur.spec.placeholders import Placeholder
from secateur.spec.release_defaults import ALL_DEFAULTS, DEPTH_OF_TF1
from secateur.spec.tao_releases import Release
from secateur.spec.translated import Translated, holder_of, pop_at, value_at
from secateur.spec.variables import NAME, expanded, refuse_variables_of_key

# The numbers of a proto's enum.
INTERPOLATIONS = ("bilinear", "bicubic")
# Fixed in TF1's SqueezeNet.
SQUEEZENET_DROPOUT = 1e-3
CSPDARKNET_WORDS = ("relu", "mish")
# Releases with a centre crop in the section of the training and one in that of the evaluation.
TWO_CROPS = (Release.TF1, Release.V0)
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
# The word for no key, in files whose release needs one; TAO's service writes None.
NO_KEY = "none"
# What stands for the key in NVIDIA's notebooks and documents until somebody replaces it.
KEY_PLACEHOLDER = re.compile(r"ENC_KEY|KEY|\$\{?\w+\}?|<.*>|\{\{.*\}\}|%\w+%|(?i:your[ _-].*key.*)")


def special_keys(spec: Translated) -> None:
    """Keys whose value decides what they mean."""
    _texts_for_null(spec)
    if pop_at(spec.values, "export.save_engine"):
        spec.values.setdefault("gen_trt_engine", {})
    if value_at(spec.values, "train.wandb") is not None and value_at(spec.values, "train.wandb.enable") is False:
        spec.note("no effect", "train.wandb", "enable is False: nothing is sent")
        del spec.values["train"]["wandb"]
    pop_at(spec.values, "train.wandb.enable")
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
            f"{spec.where('key')}: the value is a placeholder such as ENC_KEY or $KEY, not a passphrase",
            "write env:NAME, and set that variable",
        )


def _variables(spec: Translated) -> None:
    """Replace `$NAME` in paths, which NVIDIA's notebooks set as environment variables.

    Raises:
        SpecError: a variable looks secret, or is that of the key. The command line can give the key, and the path.
    """
    for path in PATHS:
        value = value_at(spec.values, path)
        if not isinstance(value, str) or "$" not in value:
            continue
        holder, name = holder_of(spec.values, path)
        text = expanded(spec.parsed, value, path, spec.where(path))
        if holder is not None:
            holder[name] = text
        unset = NAME.search(text)
        if unset:
            spec.note("warning", path, f"the environment variable {unset[1] or unset[2]} is not set")
    refuse_variables_of_key(spec.parsed, [spec.values.get("key")])


def _texts_for_null(spec: Translated) -> None:
    """TAO's service and its users write the text `None` for no value."""
    for path in ("model.activation_type", "prune.byom_model_path", "model.byom_model", "results_dir"):
        if value_at(spec.values, path) == "None":
            spec.note("warning", path, "the text None is read as no value")
            pop_at(spec.values, path)


def _one_center_crop(spec: Translated) -> None:
    """TF1 and V0 have a centre crop for the validation while training and one for evaluation; here one is for both.

    That of evaluation counts, also if it is the release's default.
    """
    given = pop_at(spec.values, "evaluate.enable_center_crop")
    augment, evaluate = spec.values.setdefault("augment", {}), spec.values.get("evaluate", {})
    if not isinstance(augment, dict) or not isinstance(evaluate, dict):
        return
    two_crops = spec.found.release in TWO_CROPS
    default = ALL_DEFAULTS[spec.found.release]["augment.enable_center_crop"] if two_crops else None
    training = augment.pop("enable_center_crop", None)
    if given is None and not (two_crops and evaluate):
        counts = training
    else:
        counts = given
        _two_center_crops(spec, given, training, default)
    # Without a value the release's default is filled in.
    if counts is not None:
        augment["enable_center_crop"] = counts


def _two_center_crops(spec: Translated, given: Any, training: Any, default: Any) -> None:
    """Say whose centre crop counts, if that of evaluation and that of training differ."""
    if training is None and given is not None:
        spec.renamed["augment.enable_center_crop"] = spec.written("evaluate.enable_center_crop")
    in_evaluation = default if given is None else given
    in_training = default if training is None else training
    if in_training not in (None, in_evaluation):
        absent = ", the default," if given is None else ""
        where = "where the default is" if training is None else "where the file says"
        key = "augment.enable_center_crop" if given is None else "evaluate.enable_center_crop"
        text = f"{in_evaluation}{absent} of evaluation counts for the validation in training too, {where} {in_training}"
        spec.note("differs", key, text)


def model_of_release(spec: Translated) -> None:
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
        pop_at(spec.values, "train.optim_config.epsilon")
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
