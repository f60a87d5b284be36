"""One run of one spec: which file is where."""

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

# Names become folders and Snakemake wildcards.
EXPERIMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
STATUS = "status.json"
# The stage of a model file of the user's own, which `evaluate.model_path` names.
EXTERNAL = "external"


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
        threads: that the step may use; None: all.
    """

    name: str
    spec: Spec
    results: Path
    work: Path
    shared: Mapping[str, Path] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    threads: int | None = None

    @cached_property
    def key(self) -> str:
        """The passphrase. Raises VaultError."""
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
        """The results folder that a step writes below: its own, or that of the run that does the step for this one."""
        return self.shared.get(step, self.results)

    def file(self, step: str, role: str, stage: str = "") -> Path:
        """A file of a step.

        Args:
            step: its name.
            role: of the file, as in the table of steps.
            stage: of `evaluate`: `train`, `retrain` or `external`. The first training's figures are where the training
                is, which several runs may share.
        """
        root = self.root("train" if stage == "train" else step)
        return root / STEPS[step].path(role).format(stage=stage)

    @property
    def manifest(self) -> Path:
        """Images, classes and splits."""
        return self.file("split", "manifest")

    @property
    def classmap(self) -> Path:
        """Class names and indices."""
        return self.file("split", "classmap")

    def model(self, step: str) -> Path:
        """The model that `train`, `prune` or `retrain` makes."""
        return self.file(step, "model")

    @property
    def model_to_prune(self) -> Path:
        """The model that the prune section cuts: the trained one, or a file of the user's own."""
        path = self.spec.prune.model_path if self.spec.prune else None
        # The final model comes after pruning: when pruning starts, EVALMODEL is the trained one.
        return self.model("train") if path == Placeholder.EVALMODEL else self.resolve(path, self.model("train"))

    @property
    def model_to_export(self) -> Path:
        """The final model, or what `export.model_path` names."""
        return self.resolve(self.spec.export.model_path, self.model(self.final_step))

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
        """The status file, on behalf of a step."""
        return StatusLog(self.results / STATUS, step)

    def resolve(self, path: str | None, default: Path) -> Path:
        """A path of the spec with its placeholder replaced; `default` when there is none."""
        if path is None:
            return default
        found = split_placeholder(path)
        if found is None:
            return Path(path)
        word, rest = found
        if word is Placeholder.EVALMODEL:
            return self.model(self.final_step)
        if word is Placeholder.PRUNEDMODEL:
            return self.model("prune")
        if word is Placeholder.EXPORTDIR:
            return self.folder("export") / rest
        # TAO writes the class map at the top of its results.
        return self.classmap if rest == self.classmap.name else self.results / rest


def trainings(spec: Spec) -> list[str]:
    """`train`, and `retrain` when the spec prunes."""
    return ["train", "retrain"] if spec.prunes else ["train"]


def external_model(spec: Spec) -> str | None:
    """A model file of the user's own that `evaluate.model_path` names; None for this run's models."""
    path = spec.evaluate.model_path
    return None if path in MODELS else path


def run_of(name: str, spec: Spec, root: Path | str = ".") -> Run:
    """The run of a spec outside the workflow, or inside it with `root` as the working directory."""
    results = Path(spec.results_dir) if spec.results_dir else Path(root) / "results" / name
    return Run(name, spec, results, Path(root) / "work" / name)


def run_from(name: str, described: Mapping[str, Any]) -> Run:
    """The run that `Experiments.described` describes, made in a job's own process.

    Inside the workflow results are at `<results>/<experiment>`, which may be a link to `results_dir`.
    """
    shared = {step: Path(folder) for step, folder in described["shared"].items()}
    spec = load_spec(described["spec"], described["overrides"])
    return Run(name, spec, Path(described["results"]), Path(described["work"]), shared)
