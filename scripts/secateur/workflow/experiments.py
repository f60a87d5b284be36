"""The experiments of a configuration: their specs, their files, and the points of sweeps with their shared steps.

This module imports no Keras, TensorFlow or Snakemake, since a dry run imports it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from secateur.data.filesystem import is_file_source
from secateur.errors import SecateurError, SpecError, format_error, names_of
from secateur.export.exported_files import export_name
from secateur.run import EXPERIMENT_NAME, Run
from secateur.spec import Spec, load_spec
from secateur.spec.translated import value_at
from secateur.step_table import COMMON_STEPS, STEPS
from secateur.storage.atomic import require_writable
from secateur.vault.keys import key_of
from secateur.workflow.missing_files import FILE_HINTS, IMAGE_HINTS, Missing, missing_files
from secateur.workflow.outputs import job_files, jobs_of, result_files
from secateur.workflow.sweep import AFTER_PRUNING, AFTER_TRAINING, Point, Sweep, read_sweeps

RESULTS, WORK = Path("results"), Path("work")
SHOWN = 10
Value = TypeVar("Value")


class ByName(dict[str, Value]):
    """Values by their names in the configuration. Another name is an error that shows which names there are."""

    def __missing__(self, name: str) -> Value:
        shown = names_of(list(self), SHOWN) or "none"
        raise SpecError(f"the configuration names no '{name}'; it names {shown}", "correct the name in the target")


class Experiments:
    """All experiments of one configuration.

    Args:
        config: content of config.yaml: `experiments` maps names to spec files, and `sweep` maps names to sweeps.
        results, work: folders of the durable files and of the checkpoints.

    Raises:
        SpecError: a name or a spec is not valid, or two experiments have the same results_dir.
    """

    def __init__(self, config: Mapping[str, Any], results: Path = RESULTS, work: Path = WORK) -> None:
        self.results, self.work = results, work
        paths = config.get("experiments") or {}
        self.sweeps = ByName({sweep.name: sweep for sweep in read_sweeps(config)})
        if not isinstance(paths, Mapping) or not (paths or self.sweeps):
            raise SpecError(
                "the configuration names no experiments", "write `experiments:` and `name: spec.yaml` below it"
            )
        # A list of files is joined to one spec.
        self.paths: dict[str, str | list[str]] = {
            str(name): [str(one) for one in path] if isinstance(path, list) else str(path)
            for name, path in paths.items()
        }
        for name in [*self.paths, *self.sweeps]:
            if not EXPERIMENT_NAME.fullmatch(name):
                raise SpecError(f"'{name}' cannot name an experiment", "use letters, digits, - and _")
        self.specs = ByName({name: load_spec(path) for name, path in self.paths.items()})
        self.overrides: dict[str, list[str]] = {}
        # Experiment -> step -> the experiment that does this step for it.
        self.owners: dict[str, dict[str, str]] = {}
        for sweep in self.sweeps.values():
            self._expand(sweep)
        self._refuse_shared_results()
        self._refuse_missing_models()

    def _expand(self, sweep: Sweep) -> None:
        """Add every point of a sweep as an experiment, and one more experiment for each step that points share."""
        spec = load_spec(sweep.spec)
        for point in sweep.points():
            training = sweep.owner(point, AFTER_TRAINING, "train")
            prune = load_spec(sweep.spec, point.overrides).prune
            # The training between two cuts uses the section `retrain`.
            after = AFTER_PRUNING[1:] if prune and prune.trains else AFTER_PRUNING
            pruning = sweep.owner(point, after, "prune")
            for owner in (training, pruning, point):
                self._add(sweep, owner, spec)
            shared = {step: training.name for step in ("split", "cache", "train") if training.name != point.name}
            self.owners[pruning.name] = shared if pruning.name != training.name else {}
            if pruning.name not in (point.name, training.name):
                self.owners[point.name] = {**shared, "prune": pruning.name}

    def _add(self, sweep: Sweep, point: Point, spec: Spec) -> None:
        if point.name in self.paths and self.overrides.get(point.name) is None:
            raise SpecError(
                f"'{point.name}' is the name of an experiment and of a point of a sweep", "rename the experiment"
            )
        own_files = ("results_dir", "prune.output_path") if spec.prune else ("results_dir",)
        overrides = [f"{key}=null" for key in own_files] + point.overrides
        self.paths[point.name], self.overrides[point.name] = sweep.spec, overrides
        self.specs[point.name] = load_spec(sweep.spec, overrides)
        self.owners.setdefault(point.name, {})

    def _refuse_shared_results(self) -> None:
        owner: dict[str, str] = {}
        for name, spec in self.specs.items():
            folder = os.path.abspath(spec.results_dir or self.results / name)
            if folder in owner:
                raise SpecError(
                    f"the experiments {owner[folder]} and {name} both write to {folder}",
                    "give each its own results_dir",
                )
            owner[folder] = name

    def _refuse_missing_models(self) -> None:
        """Refuse model files that do not exist, or that the run makes itself, before anything runs."""
        for name, spec in self.specs.items():
            run = self.run(name)
            _refuse_braces(spec)
            for key, hint in FILE_HINTS.items():
                path = value_at(spec.plain, key)
                if path and run.resolve(path, Path()) in _made_later(run, key):
                    raise SpecError(f"{spec.place(key)}: {path} is made by this step or a later one", hint)
            _refuse_missing(missing_files(run, self.results))

    @property
    def spec_files(self) -> list[str]:
        """All spec files."""
        entries = [path if isinstance(path, list) else [path] for path in self.paths.values()]
        return sorted({path for entry in entries for path in entry})

    def run(self, name: str) -> Run:
        """The run of one experiment, with the paths of the workflow."""
        return Run(name, self.specs[name], self.results / name, self.work / name, self._shared(name))

    def _shared(self, name: str) -> dict[str, Path]:
        return {step: self.results / owner for step, owner in self.owners.get(name, {}).items()}

    def described(self, name: str) -> dict[str, Any]:
        """Plain data from which a job builds the same run."""
        shared = {step: str(folder) for step, folder in self._shared(name).items()}
        return {
            "spec": self.paths[name],
            "overrides": self.overrides.get(name, []),
            "shared": shared,
            "results": str(self.results / name),
            "work": str(self.work / name),
        }

    def targets(self) -> list[str]:
        """Every durable file of every experiment: the input of `rule all`.

        All files are listed, not only the last ones: after a failed job Snakemake 9.27 can regard a result as up to
        date although an input of its rule is missing (snakemake#3808).
        """
        files = [Path(path) for name in self.reported for path in self.all_files(name)]
        files += [path for sweep in self.sweeps for path in self._sweep_files(sweep)]
        files.append(self.results / COMMON_STEPS["index"].path("page"))
        return list(dict.fromkeys(str(path) for path in files))

    @property
    def reported(self) -> list[str]:
        """The experiments with their own page: all except the points of sweeps."""
        return [name for name in self.specs if name not in self.overrides]

    def all_files(self, name: str) -> list[str]:
        """Every durable file of an experiment; for a point of a sweep or a shared step, only the files of its own."""
        if name in self.overrides:
            files = [path for sweep in self.sweeps for path in self._sweep_files(sweep)]
            return list(dict.fromkeys(str(path) for path in files if path.is_relative_to(self.results / name)))
        return [str(path) for path in [*self._files(name), self.results / name / STEPS["report"].path("page")]]

    def _files(self, name: str) -> list[Path]:
        return result_files(self.specs[name], self.run(name).results)

    def _sweep_files(self, name: str) -> list[Path]:
        """The files that a sweep needs for its comparison, and the comparison itself."""
        files = [path for point in self.sweeps[name].points() for path in self.point_files(point.name)]
        pareto = COMMON_STEPS["pareto"]
        return [*files, *(self.results / pareto.path(role).format(sweep=name) for role in pareto.files)]

    def point_files(self, name: str) -> list[Path]:
        """Every durable file of a point for its sweep, including shared files of other experiments."""
        run, spec = self.run(name), self.specs[name]
        return [
            self._root(run, step, wildcards) / path
            for step, wildcards in jobs_of(spec)
            if _is_compared(spec, step, wildcards)
            for path in job_files(spec, step, wildcards).values()
        ]

    @staticmethod
    def _root(run: Run, step: str, wildcards: Mapping[str, str]) -> Path:
        """The experiment that does a job. The evaluation of the first model belongs to its training."""
        return run.root("train" if wildcards.get("stage") == "train" else step)

    def sweep_points(self, name: str) -> dict[str, Any]:
        """Plain data for the comparison of a sweep: its points and the largest allowed drop."""
        sweep = self.sweeps[name]
        points = [{"name": point.name, "values": point.values} for point in sweep.points()]
        return {"points": points, "max_accuracy_drop": sweep.max_accuracy_drop}

    def point_runs(self, name: str) -> dict[str, dict[str, Any]]:
        """The plain data of each point's run."""
        return {point.name: self.described(point.name) for point in self.sweeps[name].points()}

    def index(self) -> dict[str, Any]:
        """Plain data for the page over all experiments."""
        return {
            "runs": {name: self.described(name) for name in self.reported},
            "sweeps": list(self.sweeps),
        }

    def require_keys(self) -> None:
        """Raise VaultError if an experiment has no key and needs one, or if its variable or file is missing."""
        for spec in self.specs.values():
            key_of(spec)

    def link_results(self) -> None:
        """Make `results/<experiment>` a link to the results_dir of the spec, if it has one.

        Raises:
            SpecError: `results/<experiment>` already has other results.
            ArtifactError: the folder or the link cannot be created.
        """
        for name, spec in self.specs.items():
            if spec.results_dir and os.path.abspath(spec.results_dir) != os.path.abspath(self.results / name):
                _link(self.results / name, Path(spec.results_dir))


def load_experiments(config: Mapping[str, Any], results: str, work: str) -> Experiments:
    """The experiments. An error in a spec ends the process with its message and exit code."""
    with readable_errors():
        return Experiments(config, Path(results), Path(work))


class readable_errors:
    """End the process with `error:` and `hint:` instead of a traceback."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, SecateurError):
            print(format_error(error), file=sys.stderr)
            raise SystemExit(error.exit_code) from None


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        if link.resolve() == target.resolve():
            return
        link.unlink()
    elif link.exists():
        raise SpecError(
            f"{link} already has results, but the spec has results_dir {target}", f"move {link} to another place"
        )
    require_writable(target)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target.resolve())


def _is_compared(spec: Spec, step: str, wildcards: Mapping[str, str]) -> bool:
    """The jobs of a point that a sweep needs: no inference, no engine, and only the model of the export."""
    if step == "export":
        return wildcards["name"] == export_name(spec)
    return step not in ("inference", "engine", "calibrate", "latency", "bundle")


def _refuse_braces(spec: Spec) -> None:
    """Raise SpecError for a path that Snakemake would take for a pattern. It knows no way to write a brace."""
    for key in (*FILE_HINTS, *IMAGE_HINTS):
        value = value_at(spec.plain, key)
        for path in value if isinstance(value, list) else [value]:
            is_input = key in FILE_HINTS or is_file_source(str(path))
            if path and is_input and any(brace in path for brace in "{}"):
                raise SpecError(
                    f"{spec.place(key)}: {path} has braces, which Snakemake reads as a wildcard", "rename it"
                )


def _refuse_missing(missing: list[Missing]) -> None:
    """Raise SpecError that names all files, with one hint for each."""
    if len(missing) == 1:
        raise SpecError(str(missing[0]), missing[0].hint)
    if missing:
        raise SpecError(
            "\n".join(map(str, missing)), "; ".join(f"{one.place.rpartition(': ')[2]}: {one.hint}" for one in missing)
        )


def _made_later(run: Run, key: str) -> list[Path]:
    """The models of a step and of later steps: the step cannot start from one of them."""
    if key in ("train.pretrained_model_path", "model.byom_model"):
        return [run.model(step) for step in ("train", "prune", "retrain")]
    # Before pruning EVALMODEL means the trained model.
    return [run.model("prune")] if key == "prune.model_path" else []
