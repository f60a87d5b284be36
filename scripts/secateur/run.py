"""One run of one spec: which file stands where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from secateur.spec import Spec
from secateur.spec.spec import TRACKERS
from secateur.storage.status_log import StatusLog
from secateur.vault.keys import key_of

# Names become folders and Snakemake wildcards.
EXPERIMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
# Keys of a train section: another number of threads or of checkpoints, or another tracker, gives the same model.
WITHOUT_EFFECT_ON_RESULTS = {"n_workers", "checkpoint_interval", "checkpoint_minutes", *TRACKERS}
# Of the data section: the pixels are the same with and without.
DATA_WITHOUT_EFFECT = {"cache"}


@dataclass(frozen=True)
class Run:
    """The files of one experiment.

    Attributes:
        name: of the experiment.
        spec: what to do.
        results: folder of the durable files.
        work: folder of checkpoints.
        shared: step -> results folder of the run that does it for this one, as the points of a sweep share a training.
        devices: the GPUs that this process holds; none is the CPU.
    """

    name: str
    spec: Spec
    results: Path
    work: Path
    shared: Mapping[str, Path] = field(default_factory=dict)
    devices: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """The pass phrase. Raises VaultError."""
        return key_of(self.spec)

    @property
    def manifest(self) -> Path:
        """Images, classes and splits."""
        return self.folder("split") / "manifest.csv"

    @property
    def classmap(self) -> Path:
        """Class names and indices."""
        return self.folder("split") / "classmap.json"

    @property
    def final_step(self) -> str:
        """The step that makes the final model."""
        return final_step(self.spec)

    def model(self, step: str) -> Path:
        """The model that `train`, `prune` or `retrain` makes."""
        return self.folder(step) / "model.tlt"

    def folder(self, step: str) -> Path:
        """Where the files of a step stand."""
        return self.shared.get(step, self.results) / step

    def status(self, step: str) -> StatusLog:
        """The status file, on behalf of a step."""
        return StatusLog(self.results / "status.json", step)

    def resolve(self, path: str | None, default: Path) -> Path:
        """A path of the spec with its placeholder words replaced; `default` when there is none."""
        if path is None:
            return default
        if path in ("EVALMODEL", "PRUNEDMODEL"):
            return self.model(self.final_step if path == "EVALMODEL" else "prune")
        if path == "RESULTSDIR/classmap.json":
            return self.classmap
        for word, folder in (("RESULTSDIR", self.results), ("EXPORTDIR", self.results / "export")):
            if path == word or path.startswith(f"{word}/"):
                return folder / path[len(word) :].lstrip("/")
        return Path(path)


def final_step(spec: Spec) -> str:
    """`retrain` when the spec prunes, else `train`."""
    return "retrain" if spec.prunes else "train"


def export_name(spec: Spec) -> str:
    """File name of the exported model; without an output_path it is the arch, encrypted."""
    return Path(spec.export.output_path).name if spec.export.output_path else f"{spec.model.arch}.etlt"


# What lies beside the exported models, made from the spec and their figures.
BUNDLE_FILES = (
    "labels.txt",
    "preprocessing.json",
    "metrics.json",
    "nvinfer_config.txt",
    "nvinfer_labels.txt",
    "trtexec.sh",
    "predict.py",
    "README.md",
    "MANIFEST.json",
)


@dataclass(frozen=True)
class Exported:
    """A file for deployment.

    Attributes:
        name: of the file, below `export/`.
        data_type: its precision.
        form: the program that it is for.
    """

    name: str
    data_type: str
    form: Literal["onnxruntime", "tensorrt", "tflite", "openvino"]

    @property
    def sealed(self) -> bool:
        """Whether it is encrypted."""
        return self.name.endswith(".etlt")

    @property
    def parts(self) -> list[str]:
        """Names of the files that it consists of: OpenVINO keeps the weights in one of their own."""
        return [self.name, f"{Path(self.name).stem}.bin"] if self.form == "openvino" else [self.name]

    @property
    def plain_name(self) -> str:
        """Of the file when it is decrypted."""
        return f"{self.name.removesuffix('.etlt')}.onnx" if self.sealed else self.name


def exported_files(spec: Spec) -> list[Exported]:
    """The models that `export` writes, the one that the spec names first."""
    name = export_name(spec)
    stem, suffix = Path(name).stem, Path(name).suffix
    files = [Exported(name, spec.exported_type, "onnxruntime")]
    # The two programs want the same integers at other places, and TensorRT 11 takes its precision from the file.
    if spec.engine_type == "int8" or spec.engine_type != spec.exported_type:
        files.append(Exported(f"{stem}.tensorrt{suffix}", spec.engine_type, "tensorrt"))
    if "tflite" in spec.export.targets:
        files += [Exported(f"{stem}.tflite", "fp32", "tflite"), Exported(f"{stem}.int8.tflite", "int8", "tflite")]
    if "openvino" in spec.export.targets:
        files.append(Exported(f"{stem}.xml", spec.exported_type, "openvino"))
    return files


def parity_path(target: Path) -> Path:
    """Where the figures of an exported file stand."""
    return target.with_name(f"{target.name}.parity.json")


def calibrates(spec: Spec) -> bool:
    """Whether ranges of activations are needed."""
    return any(file.data_type == "int8" and file.form in ("onnxruntime", "tensorrt") for file in exported_files(spec))


def given_model(spec: Spec) -> str | None:
    """A model file of the user's own that `evaluate.model_path` names; None for this run's models."""
    path = spec.evaluate.model_path
    return None if path is None or path in ("EVALMODEL", "PRUNEDMODEL") else path


def run_of(name: str, spec: Spec, root: Path | str = ".") -> Run:
    """The run of a spec outside the workflow, or inside it with `root` as the working directory."""
    results = Path(spec.results_dir) if spec.results_dir else Path(root) / "results" / name
    return Run(name, spec, results, Path(root) / "work" / name)
