"""Find what is out of date, from the spec values, the image contents and the code on which each step depends.

Nothing is listed by hand. Keys declare their effects (`spec.fields`), the code is what the step imports
(`runtime.code_digest`), and images count by their content (`data.contents`). A dry run imports this module.

See docs/decisions/out-of-date.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from secateur.data.addresses import Reach
from secateur.data.contents import INDEX, ContentIndex, contents_digest
from secateur.export.exported_files import exported_file, exported_files
from secateur.runtime.code_digest import closure, code_digest, imports_of
from secateur.spec import Spec
from secateur.spec.effects import places_that_affect, values_that_affect
from secateur.spec.fields import EFFECTS, Effect
from secateur.step_table import ALL_STEPS

DIGITS, DIGITS_INDEX = "data/digits", "data/digits.csv"
BUDGETS_BY_ONNX = ("target_size_mb", "target_latency_ms")


def _quantizes(spec: Spec, step: str) -> bool:
    if step in ("train", "evaluate/train"):
        return spec.train.qat
    if step in ("retrain", "evaluate/retrain", "inference"):
        return spec.trained_for_int8
    if step == "prune":
        return _budget_by_onnx(spec) or (_prune_trains(spec) and (spec.retrain or spec.train).qat)
    return True


def _distils(spec: Spec, step: str) -> bool:
    taught = step == "retrain" or (step == "prune" and _prune_trains(spec))
    return taught and spec.retrain is not None and spec.retrain.distill is not None


def _budget_by_onnx(spec: Spec) -> bool:
    return spec.prune is not None and spec.prune.budget in BUDGETS_BY_ONNX


def _prune_reads_images(spec: Spec) -> bool:
    return spec.prune is not None and spec.prune.needs_images


def _prune_trains(spec: Spec) -> bool:
    return spec.prune is not None and spec.prune.trains


# Code that a step uses for some specs only -> whether this step, or stage of `evaluate`, of this spec uses it.
OPTIONAL_CODE: dict[str, Callable[[Spec, str], bool]] = {
    "secateur.quantization": _quantizes,
    "secateur.byom": lambda spec, step: spec.model.byom_model is not None,
    "secateur.training.pretrained": lambda spec, step: step == "train" and spec.train.pretrained_model_path is not None,
    "secateur.training.distill": _distils,
    "secateur.keras_to_onnx.tf2onnx_route": lambda spec, step: spec.export.converter == "tf2onnx",
    "secateur.export.timing": lambda spec, step: step != "prune" or _budget_by_onnx(spec),
    "secateur.keras_to_onnx": lambda spec, step: (
        step not in ("train", "retrain", "prune") or _quantizes(spec, step) or _budget_by_onnx(spec)
    ),
    "secateur.data": lambda spec, step: step != "prune" or _prune_reads_images(spec),
    "secateur.training": lambda spec, step: step != "prune" or _prune_trains(spec),
    "secateur.steps.trainer": lambda spec, step: step != "prune" or _prune_trains(spec),
    "secateur.steps.pruning_images": lambda spec, step: _prune_reads_images(spec),
    "secateur.pruning.taylor": lambda spec, step: _prune_reads_images(spec),
}


def code_of(step: str, spec: Spec | None = None, part: str = "") -> str:
    """The digest of the code on which a step's result depends; for a spec, without code that the spec does not use.

    Args:
        step: its name.
        spec: of the experiment; None for steps over several.
        part: of `evaluate`: the stage.
    """
    entry = ALL_STEPS[step]
    name = f"{step}/{part}" if step == "evaluate" else step
    return code_digest(entry.module, unused_code(spec, name) if spec else (), entry.is_page)


def unused_code(spec: Spec, step: str) -> list[str]:
    """Modules and packages that a step imports and that it does not use for this spec."""
    optional = [name for name, uses in OPTIONAL_CODE.items() if not uses(spec, step)]
    return [*optional, *_other_backbones(spec.model.arch)]


@lru_cache
def _other_backbones(arch: str) -> tuple[str, ...]:
    """The modules of backbones, except those from which this backbone is built. Each job of an experiment asks."""
    backbones = [name for name in imports_of("secateur.zoo.build") if name.startswith("secateur.zoo.")]
    built_from = [used for name in backbones if arch.startswith(name.rpartition(".")[2]) for used in closure(name)]
    return tuple(name for name in backbones if name not in built_from)


def step_params(spec: Spec, step: str, contents: Contents, part: str = "") -> dict[str, Any]:
    """Plain data whose change makes a step's results out of date, without the key.

    Args:
        spec: of the experiment.
        step: its name.
        contents: of images.
        part: of `export` the file, of `evaluate` the stage.
    """
    return {
        "code": code_of(step, spec, part),
        "values": {**_values(spec, step), **_derived(spec, step, part)},
        "images": images_of_step(spec, step, contents),
    }


def _values(spec: Spec, step: str) -> dict[str, Any]:
    # The report shows the spec, but the places of the images do not count there either.
    effects: list[Effect] = list(EFFECTS if step == "report" else ALL_STEPS[step].effects)
    without = {"train": ["retrain"], "retrain": ["train"]}.get(step, [])
    if step == "prune" and _prune_reads_images(spec):
        effects.append("pixels")
    values = values_that_affect(spec, effects, without)
    if step == "prune" and _prune_trains(spec):
        trained = values_that_affect(spec, ["training"], ["train"])
        values |= {path: value for path, value in trained.items() if path != "retrain.num_epochs"}
    return values


def _derived(spec: Spec, step: str, file: str) -> dict[str, Any]:
    """Values that follow from several keys together."""
    if step == "export":
        exported = exported_file(spec, file)
        return {"type": exported and exported.data_type}
    if step == "latency":
        return {"file": exported_files(spec)[0].name, "prunes": spec.prunes}
    return {"bundle": {"type": spec.exported_type}, "engine": {"type": spec.engine_type}}.get(step, {})


class Contents:
    """The digests of images. Each place is read once.

    Args:
        work: root of the work folders, which holds the index of contents.
    """

    def __init__(self, work: Path) -> None:
        self.work = work
        self.digests: dict[tuple[tuple[str, ...], Reach], str] = {}

    def digest(self, places: tuple[str, ...], reach: Reach) -> str:
        """The digest of the images at some places; empty without places. `reach` is what a table can name."""
        if places and (places, reach) not in self.digests:
            self.digests[places, reach] = contents_digest(places, self.index, reach)
        return self.digests.get((places, reach), "")

    @cached_property
    def index(self) -> ContentIndex:
        """The index, which is read when the first place is needed."""
        return ContentIndex(
            self.work / "cache" / INDEX, lambda words: print(f"images  {words}", file=sys.stderr, flush=True)
        )


class ImagesDigest:
    """The digest of the images at some places, computed when it is needed.

    Snakemake makes the params of every job before it knows which jobs will run. It compares them by their `repr`, and
    only for jobs with results. So a dry run before the first split reads no image.
    """

    def __init__(self, places: tuple[str, ...], reach: Reach, contents: Contents) -> None:
        self.places, self.reach, self.contents = places, reach, contents

    def __str__(self) -> str:
        return self.contents.digest(self.places, self.reach)

    def __repr__(self) -> str:
        return repr(str(self))

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """Pickle as an empty text: a job does not need the digest, since it reads the images."""
        return str, ("",)


def images_of_step(spec: Spec, step: str, contents: Contents) -> dict[str, ImagesDigest]:
    """Key that names images -> digest of the images. The digits are not among them: a rule makes them."""
    named = places_that_affect(spec, ALL_STEPS[step].effects)
    return {
        key: ImagesDigest(tuple(place for place in places if not is_digits(place)), spec.data.table_paths, contents)
        for key, places in named.items()
    }


def places_of_split(spec: Spec) -> list[str]:
    """The folders, tables, archives or URLs of images that split reads."""
    if spec.data.source:
        return [spec.data.source]
    return [place for places in places_that_affect(spec, ["split"]).values() for place in places]


def is_digits(place: str) -> bool:
    """Whether a folder is the folder of the digits, which the workflow makes."""
    return os.path.normpath(place) == DIGITS or os.path.normpath(place).startswith(DIGITS + "/")
