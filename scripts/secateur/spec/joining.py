"""Join the spec files of one TAO experiment: spec, spec_retrain, spec_retrain_qat, and files of single tasks.

See docs/decisions/joined-specs.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secateur.errors import SpecError
from secateur.spec.notices import Notice
from secateur.spec.placeholders import MODELS
from secateur.spec.spec_text import SpecText
from secateur.spec.special_keys import NO_KEY
from secateur.spec.tao_releases import CHOICE, Release, release_of
from secateur.spec.train_spec import TrainSpec
from secateur.spec.translate import to_v1
from secateur.spec.translated import Translated, merged, value_at

# Names that TAO gives to its models: `resnet_18_080.tlt`, `model_th=0.68_eq=union.tlt`.
MODEL_OF_TAO = re.compile(r"(.*_\d{3}|model_th=.*)\.(tlt|hdf5|h5|keras|onnx)")
PRUNED = re.compile(r"(?<!un)pruned|model_th=", re.IGNORECASE)
# Sections that cannot differ between the trainings of one experiment.
SHARED = ("data", "augment", "model")
# Sections that a later file decides.
LATER = ("evaluate", "inference", "export", "gen_trt_engine")
# Keys that name files: a later file that leaves them out says nothing about them.
PATH = re.compile(r"(_path|_dir|_file|classmap)$")
MODEL_KEYS = tuple(f"{section}.model_path" for section in ("evaluate", "inference", "export", "prune"))


@dataclass(frozen=True)
class Part:
    """One file.

    Attributes:
        source: its content in V1's words, with the defaults of its release.
        role: what it is for.
    """

    source: Translated
    role: str

    @property
    def name(self) -> str:
        """The name of the file."""
        return Path(self.source.parsed.name).name


def joined(files: Sequence[SpecText], release: str | None = None) -> SpecText:
    """One spec in V1's words from several files.

    Args:
        files: the parsed files.
        release: the TAO release that the user chose for all of them, as in `tao: 5.0`.

    The file that trains from new weights is the base; one that trains from a pruned model gives `retrain`; evaluate,
    inference and export come from the last stage that has them. Notices name everything that cannot be joined.

    Raises:
        SpecError: two files have the same role, contradict each other about images, or are of TF1 and of another
            release.
    """
    _settle_release(files, release)
    sources = [to_v1(parsed) for parsed in files]
    _require_one_family(sources)
    parts = [Part(source, _role(source, sources)) for source in sources]
    base = _only(parts, "train") or _only(parts, "retrain") or parts[0]
    found = base.source.found
    whole = SpecText(
        base.source.parsed.name, explicit_values(base.source), release=found.release, candidates=found.candidates
    )
    for part in parts:
        whole.variables |= part.source.parsed.variables
    _note_places(whole, base, "")
    _join_key(whole, parts)
    _join_prune(whole, base, _in_order(parts))
    _join_retrain(whole, base, parts)
    for part in _in_order(parts):
        # A second way to retrain is only named.
        if part is not base and not (part.role == "qat" and _only(parts, "retrain")):
            _join_rest(whole, base, part)
    _drop_models_of_tao(whole)
    whole.notices[:0] = [notice for part in parts for notice in _own_notices(part)]
    return whole


def _settle_release(files: Sequence[SpecText], release: str | None) -> None:
    """Give files that can be of several releases the one that the user chose, or the one that another file settles."""
    for parsed in files if release else ():
        parsed.values[CHOICE] = release
    found = [release_of(parsed) for parsed in files]
    settled = {one.release for one in found if not one.candidates}
    for parsed, one in zip(files, found, strict=True):
        possible = settled & set(one.candidates)
        if len(possible) == 1:
            parsed.release = possible.pop()


def explicit_values(source: Translated) -> dict[str, Any]:
    """The values that a file sets itself, in V1's words."""

    def kept(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        found = {}
        for name, value in values.items():
            path = f"{prefix}{name}"
            inner = kept(value, f"{path}.") if isinstance(value, dict) else value
            if path in source.explicit or (isinstance(value, dict) and inner):
                found[name] = inner
        return found

    return kept(source.values, "")


def _require_one_family(sources: Sequence[Translated]) -> None:
    families = {source.found.release is Release.TF1 for source in sources}
    if len(families) > 1:
        names = ", ".join(f"{source.parsed.name} ({source.found.release.in_words})" for source in sources)
        raise SpecError(f"these files are not of one experiment: {names}", "join files of one release")


def _role(source: Translated, sources: Sequence[Translated]) -> str:
    """`train`, `retrain`, `qat` (a retraining for int8), or `task` for a file without training images."""
    explicit = source.explicit
    if not {"data.train_dataset_path", "data.source"} & explicit or "train" not in explicit:
        return "task"
    start = str(value_at(source.values, "train.pretrained_model_path") or "")
    outputs = [value_at(other.values, "prune.output_path") for other in sources if other is not source]
    if not (PRUNED.search(start) or (start and start in outputs)):
        return "train"
    return "qat" if value_at(source.values, "train.qat") and _also_without_qat(source, sources) else "retrain"


def _also_without_qat(source: Translated, sources: Sequence[Translated]) -> bool:
    """Whether another file retrains without qat: then this one is a second way to retrain."""
    return any(
        PRUNED.search(str(value_at(other.values, "train.pretrained_model_path") or ""))
        and not value_at(other.values, "train.qat")
        for other in sources
        if other is not source
    )


def _only(parts: Sequence[Part], role: str) -> Part | None:
    found = [part for part in parts if part.role == role]
    if len(found) > 1:
        names = " and ".join(part.source.parsed.name for part in found)
        raise SpecError(f"{names} both {role} a network", "join one of them; the other is another experiment")
    return found[0] if found else None


def _in_order(parts: Sequence[Part]) -> list[Part]:
    """By role, then by name, so that the order in which the files are given does not count."""
    return sorted(parts, key=lambda part: (("train", "task", "retrain", "qat").index(part.role), part.name))


def _join_key(whole: SpecText, parts: Sequence[Part]) -> None:
    """The one key of all files; `none` if a file says that there is none. Raises SpecError for two keys."""
    keys = {str(part.source.values["key"]): part for part in parts if part.source.values.get("key") is not None}
    if len(keys) > 1:
        places = " and ".join(part.source.where("key") for part in keys.values())
        raise SpecError(f"{places} are different keys", "join files with the same key")
    whole.values.pop("key", None)
    if keys:
        whole.values["key"] = next(iter(keys))
    elif any(part.source.no_key for part in parts):
        whole.values["key"] = NO_KEY


def _values_of(part: Part, base: Part) -> dict[str, Any]:
    """What a file adds: its own values; with its defaults too if its release has others than the base's."""
    same = part.source.found.release is base.source.found.release
    return explicit_values(part.source) if same else part.source.values


def _note_places(whole: SpecText, part: Part, section: str) -> None:
    for path in part.source.explicit:
        if not section or path == section or path.startswith(f"{section}."):
            whole.origin[path] = part.source.where(path)


def _own_notices(part: Part) -> Iterator[Notice]:
    yield Notice("release", "", f"{part.name} ({part.role}): {part.source.found.release.in_words}")
    for notice in (*part.source.parsed.notices, *part.source.notices):
        yield Notice(notice.kind, f"{part.name}: {notice.key}", notice.text)


def _join_prune(whole: SpecText, base: Part, parts: Sequence[Part]) -> None:
    for part in parts:
        section = _values_of(part, base).get("prune")
        if part is base or not isinstance(section, dict):
            continue
        before = whole.values.get("prune")
        if isinstance(before, dict):
            section = {**before, **section}
            _tell_replaced(whole, part, "prune", before, section)
        whole.values["prune"] = section
        _note_places(whole, part, "prune")


def _join_retrain(whole: SpecText, base: Part, parts: Sequence[Part]) -> None:
    retrain, qat = _only(parts, "retrain"), _only(parts, "qat")
    for part in (retrain, qat):
        if part is not None and part is not base:
            _tell_shared(whole, base, part)
    if retrain is None or retrain is base:
        return
    differing = _differing(_with_defaults(base), _with_defaults(retrain))
    differing.pop("pretrained_model_path", None)
    own = whole.values.get("retrain")
    whole.values["retrain"] = {**(own if isinstance(own, dict) else {}), **differing}
    for path in retrain.source.explicit:
        if path.startswith("train."):
            whole.origin[f"re{path}"] = retrain.source.where(path)
    if qat is not None:
        text = "trains it for int8 as well: set retrain.qat: True for that, in another experiment"
        whole.notices.append(Notice("warning", qat.name, text))


def _with_defaults(part: Part) -> dict[str, Any]:
    """The train section of a file, with secateur's defaults for keys that its release does not have."""
    values = part.source.values.get("train")
    return merged(TrainSpec().model_dump(mode="json"), values if isinstance(values, dict) else {})


def _differing(base: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `other` that `base` does not have."""
    found: dict[str, Any] = {}
    for name, value in other.items():
        here = base.get(name)
        if isinstance(value, dict) and isinstance(here, dict):
            inner = _differing(here, value)
            if inner:
                found[name] = inner
        elif value != here:
            found[name] = value
    return found


def _tell_shared(whole: SpecText, base: Part, part: Part) -> None:
    """Name what a retraining file says about images and network: TAO takes both from the pruned model's training."""
    for section in SHARED:
        here, there = base.source.values.get(section, {}), part.source.values.get(section, {})
        if isinstance(here, dict) and isinstance(there, dict):
            for path, value in _leaves(_differing(here, there), f"{section}."):
                used = value_at({section: here}, path)
                said = "" if used is None else f"; {used!r} is"
                whole.notices.append(Notice("warning", part.source.where(path), f"{value!r} is not used{said}"))


def _tell_replaced(
    whole: SpecText, part: Part, section: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    """Name each value that a later file replaces or leaves to its default; paths of models have their own notice."""
    for path, value in _leaves(_differing(after, before), f"{section}."):
        if path.endswith(".model_path"):
            continue
        used, place = value_at({section: dict(after)}, path), whole.origin.get(path, path)
        if used is None:
            default = value_at(part.source.values, path)
            said = f"{part.name} leaves the key out: the default{'' if default is None else f' {default!r}'} is"
        else:
            said = f"{used!r} is"
        whole.notices.append(Notice("warning", place, f"{value!r} is not used; {said}"))


def _leaves(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _join_rest(whole: SpecText, base: Part, part: Part) -> None:
    """Take evaluate, inference and export from this file, and of the other sections what the files before lack."""
    for section, values in _values_of(part, base).items():
        if section in ("train", "prune", "key", "tao", "results_dir"):
            continue
        if section in LATER and section not in part.source.explicit:
            continue  # only defaults of another release
        before = whole.values.get(section)
        if section in SHARED and before is not None and part.role != "task":
            continue
        if not isinstance(before, dict) or not isinstance(values, dict):
            whole.values.setdefault(section, values)
        elif section in LATER:
            _require_same_images(whole, part, section, before, values)
            # TAO reads this file alone: what it leaves out has the default, not the value of the file before.
            whole.values[section] = {**{name: before[name] for name in before if PATH.search(name)}, **values}
            _tell_replaced(whole, part, section, before, whole.values[section])
        else:
            whole.values[section] = {**values, **before}
        if section in LATER or before is None:
            _note_places(whole, part, section)


def _require_same_images(
    whole: SpecText, part: Part, section: str, before: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    here, there = before.get("dataset_path"), values.get("dataset_path")
    if here and there and here != there:
        raise SpecError(
            f"{part.source.where(f'{section}.dataset_path')}: {there}, but {whole.at(f'{section}.dataset_path')} says "
            f"{here}",
            "evaluate one set of images",
        )


def _drop_models_of_tao(whole: SpecText) -> None:
    """Remove the paths of models that a stage of this experiment makes."""
    for path in MODEL_KEYS:
        section, _, name = path.partition(".")
        holder = whole.values.get(section)
        value = holder.get(name) if isinstance(holder, dict) else None
        if isinstance(value, str) and isinstance(holder, dict) and (_is_of_tao(value) or value in MODELS):
            del holder[name]
            whole.notices.append(Notice("warning", path, f"{value} is a model of a stage before: this run's is used"))


def _is_of_tao(path: str) -> bool:
    return MODEL_OF_TAO.fullmatch(Path(path).name) is not None
