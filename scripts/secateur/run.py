"""One run of one spec: which file stands where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from secateur.spec import Spec, load_spec
from secateur.spec.tracker_specs import TRACKERS
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
    def trainings(self) -> list[str]:
        """The trainings of the run, in order."""
        return ["train", "retrain"] if self.spec.prunes else ["train"]

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

    def evaluation(self, stage: str) -> Path:
        """Where the figures of a model stand; those of a training that is shared stand with that training."""
        root = self.folder("train").parent if stage == "train" else self.results
        return root / "evaluate" / stage

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


def given_model(spec: Spec) -> str | None:
    """A model file of the user's own that `evaluate.model_path` names; None for this run's models."""
    path = spec.evaluate.model_path
    return None if path is None or path in ("EVALMODEL", "PRUNEDMODEL") else path


def run_of(name: str, spec: Spec, root: Path | str = ".") -> Run:
    """The run of a spec outside the workflow, or inside it with `root` as the working directory."""
    results = Path(spec.results_dir) if spec.results_dir else Path(root) / "results" / name
    return Run(name, spec, results, Path(root) / "work" / name)


def run_from(name: str, source: Mapping[str, Any]) -> Run:
    """The run that `Experiments.source` describes, made in a job's own process.

    Inside the workflow results stand at `<results>/<experiment>`, which may be a link to `results_dir`.
    """
    shared = {step: Path(folder) for step, folder in source["shared"].items()}
    spec = load_spec(source["spec"], source["overrides"])
    return Run(name, spec, Path(source["results"]), Path(source["work"]), shared)
