"""One run of one spec: the paths of its files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from secateur.spec import Spec, load_spec
from secateur.spec.placeholders import MODELS, Placeholder, split_placeholder
from secateur.step_table import STEPS
from secateur.storage.status_log import StatusLog
from secateur.vault.keys import key_of

# Names are used as folders and as Snakemake wildcards.
EXPERIMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
STATUS = "status.json"
# The stage of evaluate for a model file that `evaluate.model_path` names.
EXTERNAL = "external"
# TAO writes the class map at the top of its results (V1), or beside the trained model (V2).
TAO_CLASSMAPS = ("classmap.json", "train/classmap.json")


@dataclass(frozen=True)
class Run:
    """The files of one experiment.

    Attributes:
        name: of the experiment.
        spec: of the run.
        results: folder of the durable files.
        work: folder of checkpoints.
        shared: step -> results folder of the run that does this step for this one, such as the training of a sweep.
        devices: the GPUs that this process holds; empty for the CPU.
        threads: number of threads that the step may use; None: all.
    """

    name: str
    spec: Spec
    results: Path
    work: Path
    shared: Mapping[str, Path] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    threads: int | None = None

    @cached_property
    def key(self) -> str | None:
        """The passphrase; None if the files are not encrypted. Raises VaultError if the spec needs a key."""
        return key_of(self.spec)

    @property
    def trainings(self) -> list[str]:
        """The trainings of the run, in order."""
        return trainings(self.spec)

    @property
    def final_step(self) -> str:
        """The step that makes the final model."""
        return self.trainings[-1]

    def folder(self, step: str) -> Path:
        """The folder of a step's files."""
        return self.root(step) / STEPS[step].folder

    def root(self, step: str) -> Path:
        """The results folder of a step: this run's own, or the one of the run that shares the step."""
        return self.shared.get(step, self.results)

    def file(self, step: str, role: str, stage: str = "") -> Path:
        """A file of a step.

        Args:
            step: its name.
            role: of the file, as in the table of steps.
            stage: of `evaluate`: `train`, `retrain` or `external`. The figures of the first training are in its own
                results folder, which several runs can share.
        """
        root = self.root("train" if stage == "train" else step)
        return root / STEPS[step].path(role).format(stage=stage)

    @property
    def manifest(self) -> Path:
        """The manifest: images, classes and splits."""
        return self.file("split", "manifest")

    @property
    def classmap(self) -> Path:
        """The class map: class names and indices."""
        return self.file("split", "classmap")

    def model(self, step: str) -> Path:
        """The model that `train`, `prune` or `retrain` writes."""
        return self.file(step, "model")

    @property
    def model_to_prune(self) -> Path:
        """The model that prune reads: the trained model, or the file that `prune.model_path` names."""
        path = self.spec.prune.model_path if self.spec.prune else None
        # The final model does not exist before pruning, so EVALMODEL means the trained model here.
        return self.model("train") if path == Placeholder.EVALMODEL else self.resolve(path, self.model("train"))

    @property
    def model_to_export(self) -> Path:
        """The final model, or the file that `export.model_path` names."""
        return self.resolve(self.spec.export.model_path, self.model(self.final_step))

    @property
    def own_models(self) -> list[Path]:
        """The models that the run itself writes."""
        return [self.model(step) for step in ("train", "prune", "retrain")]

    @property
    def exports_own_model(self) -> bool:
        """Whether the exported model is one that the run itself writes."""
        return self.model_to_export in self.own_models

    def evaluated_model(self, stage: str) -> Path:
        """The model that `evaluate` measures as `stage`."""
        return (
            self.resolve(external_model(self.spec), self.model(self.final_step))
            if stage == EXTERNAL
            else self.model(stage)
        )

    def export_file(self, name: str) -> Path:
        """A file below `export/`."""
        return self.folder("export") / name

    def status(self, step: str) -> StatusLog:
        """The status file, for the messages of one step."""
        return StatusLog(self.results / STATUS, step)

    def resolve(self, path: str | None, default: Path) -> Path:
        """A path of the spec with its placeholder replaced; `default` if the spec has no path."""
        if path is None:
            return default
        found = split_placeholder(path)
        if found is None:
            # TAO's own class map of this experiment, after the notebook has put the results folder into the spec.
            own = self.spec.results_dir and Path(path) in (Path(self.spec.results_dir) / name for name in TAO_CLASSMAPS)
            return self.classmap if own else Path(path)
        word, rest = found
        if word is Placeholder.EVALMODEL:
            return self.model(self.final_step)
        if word is Placeholder.PRUNEDMODEL:
            return self.model("prune")
        if word is Placeholder.EXPORTDIR:
            return self.folder("export") / rest
        return self.classmap if rest in TAO_CLASSMAPS else self.results / rest


def trainings(spec: Spec) -> list[str]:
    """The trainings of a spec: `train`, and `retrain` if the spec prunes."""
    return ["train", "retrain"] if spec.prunes else ["train"]


def external_model(spec: Spec) -> str | None:
    """The user's model file in `evaluate.model_path`; None if the key is absent or names a model of this run."""
    path = spec.evaluate.model_path
    return None if path in MODELS else path


def run_of(name: str, spec: Spec, root: Path | str = ".") -> Run:
    """The run of a spec with the working directory `root`, for the command line."""
    results = Path(spec.results_dir) if spec.results_dir else Path(root) / "results" / name
    return Run(name, spec, results, Path(root) / "work" / name)


def run_from(name: str, described: Mapping[str, Any]) -> Run:
    """The run from the plain data of `Experiments.described`, for the process of a job.

    In the workflow the results are at `<results>/<experiment>`, which can be a link to `results_dir`.
    """
    shared = {step: Path(folder) for step, folder in described["shared"].items()}
    spec = load_spec(described["spec"], described["overrides"])
    return Run(name, spec, Path(described["results"]), Path(described["work"]), shared)
