"""The durable files of an experiment's results, from the table of steps. No Keras is imported."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from secateur.export.exported_files import EXPORT_RULES, calibrates, exported_files
from secateur.run import EXTERNAL, external_model, trainings
from secateur.spec import Spec
from secateur.step_table import ALL_STEPS, STEPS


def rule_outputs(step: str, directory: Callable[[str], Any], rule: str = "") -> dict[str, Any]:
    """Role -> path of each output of a rule, with the wildcards and path variables that Snakemake replaces.

    Args:
        step: the step of the rule.
        directory: marks an output as a folder.
        rule: for `export`, one of its rules.
    """
    entry = ALL_STEPS[step]
    files = EXPORT_RULES[rule] if rule else entry.files
    root = "<results>/{experiment}" if step in STEPS else "<results>"
    folder = "/".join(part for part in (root, entry.folder) if part)
    return {
        role: directory(f"{folder}/{name.rstrip('/')}") if name.endswith("/") else f"{folder}/{name}"
        for role, name in files.items()
    }


def stages_of(spec: Spec) -> list[str]:
    """The models that `evaluate` measures: those of the trainings, and the user's own model file."""
    return [*trainings(spec), *([EXTERNAL] if external_model(spec) else [])]


def jobs_of(spec: Spec) -> Iterator[tuple[str, dict[str, str]]]:
    """Every job of a spec except the report: its step and the wildcards of its rule, in the order of the flow.

    If TensorRT is not installed, a spec that asks for an engine runs without the engine.
    """
    yield "split", {}
    yield "cache", {}
    yield "train", {}
    if spec.prunes:
        yield "prune", {}
        yield "retrain", {}
    for stage in stages_of(spec):
        yield "evaluate", {"stage": stage}
    if spec.inference.image_dir:
        yield "inference", {}
    yield from export_jobs(spec)
    if spec.wants_engine and importlib.util.find_spec("tensorrt") is not None:
        yield "engine", {}


def export_jobs(spec: Spec) -> Iterator[tuple[str, dict[str, str]]]:
    """The jobs that write below `export/`."""
    if calibrates(spec):
        yield "calibrate", {}
    for file in exported_files(spec):
        yield "export", {"name": file.name}
    yield "latency", {}
    yield "bundle", {}


def job_files(spec: Spec, step: str, wildcards: dict[str, str]) -> dict[str, str]:
    """Role -> path below the results of each file that a job writes."""
    if step == "export":
        file = next(file for file in exported_files(spec) if file.name == wildcards["name"])
        names = {"model": file.name, "parity": file.parity_name, **{part: part for part in file.parts[1:]}}
        return {role: f"{STEPS[step].folder}/{name}" for role, name in names.items()}
    return {role: STEPS[step].path(role).format(**wildcards).rstrip("/") for role in STEPS[step].files}


def result_files(spec: Spec, results: Path) -> list[Path]:
    """Every file that the steps of a spec write, except the report page.

    Args:
        spec: of the run.
        results: folder of the run.
    """
    return [results / path for step, wildcards in jobs_of(spec) for path in job_files(spec, step, wildcards).values()]


def page_files(spec: Spec, results: Path) -> list[Path]:
    """The files among them that the page of a run shows. The arguments are those of the function above."""
    found = []
    for step, wildcards in jobs_of(spec):
        shown = ("parity",) if step == "export" else STEPS[step].shown
        found += [results / path for role, path in job_files(spec, step, wildcards).items() if role in shown]
    return found


def exported_paths(spec: Spec, without: tuple[str, ...] = ()) -> list[str]:
    """The paths, below the results, of all files below `export/`, except those of some steps."""
    jobs = [(step, wildcards) for step, wildcards in export_jobs(spec) if step not in without]
    return [path for step, wildcards in jobs for path in job_files(spec, step, wildcards).values()]
