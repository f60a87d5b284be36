"""The TAO release that a spec file is of, found by its words.

See docs/decisions/spec-releases.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from secateur.errors import SpecError
from secateur.spec.spec_text import SpecText


class Release(StrEnum):
    """Releases with different defaults. The value is the name for people."""

    SPECIFICATION = "the specification"
    """The specification's own words and tables (V1), and secateur's own files."""
    TF1 = "TF1"
    """Text protos of TLT 1 to TAO 5."""
    V0 = "V0"
    """The words of the protos in YAML."""
    TAO_4_0 = "4.0"
    """The code of TAO 4.0, whose defaults differ from the specification's tables."""
    TAO_5_0 = "5.0"
    """TAO 5.0 to 5.3."""
    TAO_5_5 = "5.5"
    TAO_6_0 = "6.0"
    """TAO 6.0 and later."""

    @property
    def in_words(self) -> str:
        """The name in a sentence."""
        names = {Release.SPECIFICATION: self.value, Release.TF1: "TAO's TF1 protos", Release.V0: "TAO's V0 files"}
        return names.get(self, f"TAO {self.value}")


# Releases that a user can choose by name.
CHOSEN = {"4.0": Release.TAO_4_0, "5.0": Release.TAO_5_0, "5.5": Release.TAO_5_5, "6.0": Release.TAO_6_0}
V2 = (Release.TAO_5_0, Release.TAO_5_5, Release.TAO_6_0)
# The key by which a user chooses one.
CHOICE = "tao"


@dataclass(frozen=True)
class Found:
    """The release of a file.

    Attributes:
        release: it.
        evidence: the words of the file that say so.
        candidates: the releases that the file can be of, if its words do not settle it.
    """

    release: Release
    evidence: tuple[str, ...]
    candidates: tuple[Release, ...] = ()


PROTO_SECTIONS = ("train_config", "model_config", "eval_config", "infer_config", "prune_config", "export_config")
# Words of one family of releases only.
V2_WORDS = (
    "dataset",
    "encryption_key",
    "model.backbone",
    "model.input_width",
    "model.input_height",
    "model.input_channels",
    *(f"{section}.checkpoint" for section in ("train", "evaluate", "inference", "prune", "export")),
    "export.onnx_file",
    "gen_trt_engine",
    "num_gpus",
)
V1_WORDS = (
    "data",
    "augment",
    "key",
    "model.arch",
    "model.n_layers",
    "model.input_image_size",
    "train.pretrained_model_path",
    *(f"{section}.model_path" for section in ("evaluate", "inference", "prune", "export")),
    "prune.output_path",
    "export.output_path",
    "export.data_type",
)
# Words of the weeks between V0 and V1: V1's sections with V0's keys.
V0_5_WORDS = (
    "eval",
    "infer",
    "evaluate.eval_dataset_path",
    *(f"train.{key}" for key in ("train_dataset_path", "val_dataset_path", "preprocess_mode", "enable_random_crop")),
)
# num_epochs and checkpoint_interval that the API wrote into each spec -> its release.
API_EPOCHS = {(80, 1): Release.TAO_5_0, (50, 5): Release.TAO_5_5}
# Words that a release of V2 added.
SINCE_6_0 = ("train.validation_interval", "model_name", "train.wandb.enable", "train.wandb.group", "train.wandb.run_id")
SINCE_5_5 = (
    "num_gpus",
    "gpu_ids",
    "mpi_args",
    "cuda_blocking",
    "multi_node",
    "num_processes",
    "train.resume_training_checkpoint_path",
)


def release_of(parsed: SpecText) -> Found:
    """The release of a file, by its own choice (`tao`) or by its words.

    Raises:
        SpecError: the choice names no release.
    """
    values = parsed.values
    chosen = values.get(CHOICE)
    if chosen is not None:
        if str(chosen) not in CHOSEN:
            raise SpecError(f"{parsed.at(CHOICE)}: {CHOICE}: '{chosen}' is no release", f"use {', '.join(CHOSEN)}")
        return Found(CHOSEN[str(chosen)], (CHOICE,))
    if parsed.release:
        return Found(Release(parsed.release), ("joined files",), tuple(Release(name) for name in parsed.candidates))
    protos = _present(values, PROTO_SECTIONS)
    if protos:
        return Found(Release.TF1 if parsed.form in ("proto", "json") else Release.V0, protos)
    if parsed.form == "proto":
        return Found(Release.TF1, tuple(values)[:1])
    between = _present(values, V0_5_WORDS)
    if between:
        return Found(Release.V0, between)
    v2, v1 = _present(values, V2_WORDS), _present(values, V1_WORDS)
    mixed = _present(values, ("data", "augment")), _present(values, ("encryption_key", "model.backbone"))
    if all(mixed):
        return Found(Release.TAO_4_0, (*mixed[0], *mixed[1]))
    if len(v2) <= len(v1):
        return Found(Release.SPECIFICATION, v1)
    return _which_v2(values, v2, parsed.form == "json")


def _which_v2(values: Mapping[str, Any], evidence: tuple[str, ...], from_api: bool) -> Found:
    since_6_0, since_5_5 = _present(values, SINCE_6_0), _present(values, SINCE_5_5)
    if since_6_0:
        return Found(Release.TAO_6_0, since_6_0)
    if from_api:
        epochs = _at(values, "train.num_epochs"), _at(values, "train.checkpoint_interval")
        release = next((release for known, release in API_EPOCHS.items() if known == epochs), None)
        if release is not None:
            return Found(release, ("train.num_epochs", "train.checkpoint_interval"))
    candidates = V2[1:] if since_5_5 or _stops_before_5_5(values) else V2
    return Found(Release.TAO_5_5, since_5_5 or evidence, candidates)


def _stops_before_5_5(values: Mapping[str, Any]) -> bool:
    """Whether a file lacks a key without which the releases before 5.5 stop."""
    trains = bool(_present(values, ("train",)))
    lacks = not _present(values, ("dataset.num_classes",)) or not _present(values, ("results_dir",))
    prunes = bool(_present(values, ("prune",)))
    return (trains and lacks) or (prunes and not _present(values, ("prune.threshold",)))


def _present(values: Mapping[str, Any], paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(path for path in paths if _at(values, path) is not None)


def _at(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return True if found is None else found
