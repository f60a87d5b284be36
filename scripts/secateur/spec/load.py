"""Load a spec file of any TAO release as a typed `Spec`."""

from __future__ import annotations

import difflib
import importlib.util
import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from secateur.errors import SpecError
from secateur.spec.architectures import FIXED, family_name
from secateur.spec.differences import differences, origins, release_notices
from secateur.spec.effects import keys_without_effect
from secateur.spec.fields import TOO_MANY_DIGITS
from secateur.spec.joining import joined
from secateur.spec.model_spec import OF_ARCH
from secateur.spec.notices import Notice
from secateur.spec.placeholders import Placeholder
from secateur.spec.pytorch.pytorch_forms import refuse_pytorch
from secateur.spec.spec import Spec
from secateur.spec.spec_file import parse_spec_text, read_spec_text
from secateur.spec.spec_overrides import chosen_release
from secateur.spec.spec_text import SpecText, shortened
from secateur.spec.special_keys import NO_KEY
from secateur.spec.tao_releases import PROTO_SECTIONS, V2, V2_WORDS, Release
from secateur.spec.tracker_specs import TRACKERS
from secateur.spec.translate import to_v1
from secateur.spec.translated import Translated, merged

# The passphrases in TAO's documents and sample specs.
PUBLIC_DEFAULT_KEYS = ("nvidia_tlt", "tlt_encode")

# Options of the model section that only secateur has: a value that cannot act is a mistake.
OWN_OPTIONS = ("padding", "freeze_blocks")

# Releases whose files need no key.
KEY_IS_OPTIONAL = (Release.TF1, *V2)

OF_PROTOS = (Release.TF1, Release.V0)
PROTO_WORDS = (*PROTO_SECTIONS, *(f"train_config.{key}" for key in ("n_epochs", "checkpoint_freq")))
# Sections of TF1's protos for other tasks.
OTHER_TASKS = (
    "retinanet_config", "ssd_config", "dssd_config", "yolov3_config", "yolov4_config", "efficientdet_config",
    "faster_rcnn_config", "mask_rcnn_config", "maskrcnn_config", "bbox_rasterizer_config", "cost_function_config",
    "postprocessing_config", "nms_config", "dataset_config", "lpr_config", "dataset_convert", "dataset_convert_config",
)  # fmt: skip
MAX_MISTAKES = 30
ALL_KEYS = "see config/README.md for every key"

DEPTHWISE = ("efficientnet", "mobilenet_v1", "mobilenet_v2")
BETTER_FOR_DEPTHWISE = (
    "has depthwise convolutions: importance: bn_scale with ranking: uniform keeps more accuracy than TAO's default "
    "(docs/pruning.md)"
)


def load_spec(path: Path | str | Sequence[str], overrides: Sequence[str] = ()) -> Spec:
    """Read, translate and check a spec file of any TAO release.

    Args:
        path: YAML, JSON of TAO's API, or a text proto of TF1; or several files of one experiment.
        overrides: words `section.key=value` that replace values of the file; the values are YAML.

    Raises:
        SpecError: the spec is not valid; the message has file, line, dotted key and the nearest valid key.
    """
    return typed(read_specs(path, overrides), overrides)


def read_specs(path: Path | str | Sequence[str], overrides: Sequence[str] = ()) -> SpecText:
    """Read one file, or join several files of one experiment; the release that `overrides` choose counts for each."""
    if isinstance(path, Path | str):
        return read_spec_text(path)
    files = [read_spec_text(one) for one in path]
    for parsed in files:
        refuse_pytorch(parsed)
    return joined(files, chosen_release(overrides)) if len(files) > 1 else files[0]


def parse_spec(text: str | bytes, name: str = "spec") -> Spec:
    """Load a spec from text, as `load_spec` does; `name` replaces the path in errors."""
    return typed(parse_spec_text(text, name))


def typed(parsed: SpecText, overrides: Sequence[str] = ()) -> Spec:
    """The typed spec of a parsed file. Raises SpecError as `load_spec` does."""
    refuse_pytorch(parsed)
    _refuse_other_tasks(parsed)
    if "prune" in parsed.values and parsed.values["prune"] is None:
        parsed.values["prune"] = {}  # `prune:` without keys means all defaults
    source = to_v1(parsed, overrides)
    values = source.values
    remarks = [*release_notices(source), *parsed.notices]
    remarks += _renamed(source)
    remarks += source.notices
    remarks += _prune_for_placeholder(values)
    retrain = values.pop("retrain", None)
    spec = _validated(source, values)
    if spec.prunes:
        merged = _retrain_values(parsed, values.get("train") or {}, retrain)
        spec = _validated(source, {**values, "retrain": merged})
    elif retrain is not None:
        raise SpecError(
            f"{parsed.at('retrain')}: retrain needs a prune section",
            "add `prune:` with its threshold, or give prune.threshold=0.5",
        )
    remarks += _foreign_options(source, spec)
    remarks += _remarks(spec, source)
    remarks += differences(spec, source)
    plain = spec.key is None and (source.found.release in KEY_IS_OPTIONAL or source.no_key)
    remarks += _without_key(spec, source, plain)
    spec = _with_fixed_options(spec)
    spec._notices = tuple(dict.fromkeys(remarks))
    spec._origins = origins(source)
    spec._places = {path: source.where(path) for path in source.explicit}
    spec._plain_files = plain
    return spec


def _refuse_other_tasks(parsed: SpecText) -> None:
    """One error for a proto of TAO's detection and segmentation tasks, instead of one for each of its keys."""
    found = next((key for key in parsed.values if key in OTHER_TASKS), None)
    if found is not None:
        raise SpecError(
            f"{parsed.at(found)}: {found}: this is a spec of another TAO task than image classification",
            "secateur trains classifiers only",
        )


def _renamed(source: Translated) -> Iterator[Notice]:
    for new, old in source.renamed.items():
        # Elements of a list have no name to be known by.
        if old != new and not new.rpartition(".")[2].isdecimal():
            yield Notice("renamed", old, f"is {new}")


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
    return merged(inherited, retrain or {})


def _validated(source: Translated, values: dict[str, Any]) -> Spec:
    try:
        return Spec.model_validate({key: value for key, value in values.items() if value is not None})
    except ValidationError as failure:
        errors = sorted(failure.errors(include_url=False), key=lambda error: _line(source, error))[:MAX_MISTAKES]
        mistakes = [_mistake(source, error) for error in errors]
    hints = [hint for _, hint in mistakes if hint]
    raise SpecError(
        "\n".join(dict.fromkeys(text for text, _ in mistakes)),
        next((hint for hint in hints if hint != ALL_KEYS), ALL_KEYS),
    )


def _dotted(error: Any) -> str:
    """The path of V1 that an error is about."""
    dotted = ".".join(str(part) for part in error["loc"])
    return f"{dotted}.arch" if error["type"] == OF_ARCH else dotted


def _line(source: Translated, error: Any) -> int:
    return source.parsed.line(source.written(_dotted(error))) or 0


def _mistake(source: Translated, error: Any) -> tuple[str, str]:
    """The message of one error, and its hint."""
    dotted = _dotted(error)
    where = source.where(dotted) if dotted else source.parsed.name
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][-1])
        if "." in name:
            return f"{where}: unknown key", f"write {name.rpartition('.')[2]} below {name.rpartition('.')[0]}:"
        near = _word_of_release(source, dotted) or source.written(_nearest(dotted))
        return f"{where}: unknown key", f"did you mean {near}?" if near else ALL_KEYS
    if error["type"] == TOO_MANY_DIGITS:
        return f"{where}: the number has too many digits", "write a smaller number"
    if error["type"] in ("model_type", "dict_type"):
        return f"{where}: must be a section of keys", ""
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    said = f"{_value(error)}{'must be ' if error['msg'].startswith('Input') else ''}{message}"
    return f"{where}: {shortened(said)}", ""


def _value(error: Any) -> str:
    value = error["input"]
    secret = error["loc"][:1] == ("key",)
    return "" if secret or isinstance(value, dict) or error["type"] == "value_error" else f"{value!r} "


def _word_of_release(source: Translated, dotted: str) -> str:
    """The nearest word of the file's own release in the same section; empty if there is none."""
    words = V2_WORDS if source.found.release in V2 else PROTO_WORDS if source.found.release in OF_PROTOS else ()
    section, _, name = source.written(dotted).rpartition(".")
    siblings = {word.rpartition(".")[2]: word for word in words if word.rpartition(".")[0] == section}
    near = difflib.get_close_matches(name, list(siblings), n=1)
    return siblings[near[0]] if near else ""


@lru_cache
def _all_known_paths() -> tuple[str, ...]:
    return tuple(_known_paths(Spec, ""))


def _nearest(dotted: str) -> str:
    """The known key nearest to `dotted`: by spelling in the same section, else by name in another section."""
    known = _all_known_paths()
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


def _remarks(spec: Spec, source: Translated) -> Iterator[Notice]:
    explicit = source.explicit
    for key, reason in keys_without_effect().items():
        if key in explicit:
            yield Notice("no effect", source.written(key), reason)
    if spec.data.source:
        beside = {
            "data.train_dataset_path": spec.data.train_dataset_path,
            "data.val_dataset_path": spec.data.val_dataset_path,
            "evaluate.dataset_path": spec.evaluate.dataset_path,
        }
        for key, folder in beside.items():
            if folder:
                yield Notice("warning", source.written(key), "not read: data.source names the images of all splits")
    if "data.preprocess_mode" not in explicit and source.found.release is Release.SPECIFICATION:
        yield Notice(
            "warning", "data.preprocess_mode", "absent; torch is used (the specification has two different defaults)"
        )
    own = source.found.release is Release.SPECIFICATION
    if own and spec.train.optim_config.decay and spec.train.lr_config.compat != "tao":
        key = "train.optim_config.decay"
        yield Notice("no effect", source.written(key), "the scheduler sets the learning rate, unless compat is tao")
    if spec.key is not None and spec.key.get_secret_value() in PUBLIC_DEFAULT_KEYS:
        yield Notice("warning", "key", "this is TAO's public default and protects nothing; use env:NAME or file:PATH")
    if spec.wants_engine and importlib.util.find_spec("tensorrt") is None:
        key = "export.engine_file" if spec.export.engine_file else "gen_trt_engine"
        yield Notice("warning", source.written(key), "TensorRT is not installed on this machine: no engine is built")
    for section, tracker in itertools.product(("train", "retrain"), TRACKERS):
        key = f"{section}.{tracker}"
        if key in explicit and importlib.util.find_spec(tracker) is None:
            yield Notice("warning", source.written(key), f"the package {tracker} is not installed: nothing is sent")
    yield from _model_remarks(spec, source)


def _model_remarks(spec: Spec, source: Translated) -> Iterator[Notice]:
    explicit, fixed = source.explicit, FIXED[family_name(spec.model.arch)]
    if "use_batch_norm" not in fixed and "model.use_batch_norm" not in explicit and not spec.model.use_batch_norm:
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


def _without_key(spec: Spec, source: Translated, plain: bool) -> Iterator[Notice]:
    """A notice that files are not encrypted. Raises SpecError if an encrypted file is asked for without a key."""
    if not plain:
        return
    output = spec.export.output_path or ""
    if output.endswith(".etlt"):
        raise SpecError(
            f"{source.where('export.output_path')}: {output} is an encrypted file, and the spec has no key",
            "add `key: env:NAME`, or end the name in .onnx",
        )
    yield Notice("warning", "key", f"absent: models and exports are not encrypted; {NO_KEY} says so on purpose")


def _foreign_options(source: Translated, spec: Spec) -> Iterator[Notice]:
    """Notices about options that the family does not have; an own addition of secateur is an error.

    TAO's own complete specs have such options for every network, and TAO ignores them.
    """
    for option, (value, reason) in FIXED[family_name(spec.model.arch)].items():
        key, given = f"model.{option}", getattr(spec.model, option)
        if key not in source.explicit or given in (None, [], value):
            continue
        if option in OWN_OPTIONS:
            raise SpecError(
                f"{source.where(key)}: {given} is not possible with {spec.model.arch}: {reason}", "remove the key"
            )
        yield Notice("no effect", source.written(key), f"{spec.model.arch}: {reason}")


def _with_fixed_options(spec: Spec) -> Spec:
    """The spec with the value that the network has in any case, for each option that its family does not have."""
    fixed = {option: value for option, (value, _) in FIXED[family_name(spec.model.arch)].items()}
    changed = {option: value for option, value in fixed.items() if getattr(spec.model, option) != value}
    if not changed:
        return spec
    return spec.model_copy(update={"model": spec.model.model_copy(update=changed)})
