"""The durable files that an experiment's results consist of. Light, as `workflow`.

See docs/decisions/snakemake-traps.md.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from secateur.export.exported_files import BUNDLE_FILES, calibrates, exported_files
from secateur.run import given_model
from secateur.spec import Spec

OF_SPLIT = ("manifest.csv", "classmap.json", "findings.csv", "report.json", "report.html")
OF_TRAINING = ("model.tlt", "history.csv", "metrics.json")
OF_PRUNING = ("model.tlt", "report.json", "report.html")
OF_EVALUATION = ("metrics.json", "predictions.csv", "confusion.csv")
OF_INFERENCE = ("result.csv", "unreadable.csv")
# Of what stands outside `export/`.
SHOWN = {
    "manifest.csv", "classmap.json", "report.json", "history.csv", "metrics.json", "predictions.csv", "confusion.csv",
}  # fmt: skip
OF_ENGINE = ("model.engine", "metrics.json")


def result_files(spec: Spec, results: Path) -> list[Path]:
    """Every file that the steps of a spec write, but for the page that is made from them.

    Where TensorRT is not installed a spec that asks for an engine runs all the same, without one.

    Args:
        spec: what is done.
        results: folder of the run.
    """
    steps = ["train", "retrain"] if spec.prunes else ["train"]
    made = {"split": OF_SPLIT, "cache": ("packs.json",), **dict.fromkeys(steps, OF_TRAINING)}
    if spec.prunes:
        made["prune"] = OF_PRUNING
    for stage in [*steps, "given"] if given_model(spec) else steps:
        made[f"evaluate/{stage}"] = OF_EVALUATION
    if spec.inference.image_dir:
        made["inference"] = OF_INFERENCE
    made["export"] = tuple(export_names(spec))
    if spec.wants_engine and importlib.util.find_spec("tensorrt") is not None:
        made["engine"] = OF_ENGINE
    return [results / folder / file for folder, files in made.items() for file in files]


def page_files(spec: Spec, results: Path) -> list[Path]:
    """The tables and figures among them that the page of a run shows; arguments as above."""
    return [path for path in result_files(spec, results) if _is_shown(path)]


def _is_shown(path: Path) -> bool:
    if path.parent.name == "export":
        return path.name == "latency.json" or path.name.endswith(".parity.json")
    return path.name in SHOWN


def export_names(spec: Spec) -> list[str]:
    """What stands below `export/`."""
    files = exported_files(spec)
    names = [name for file in files for name in (*file.parts, f"{file.name}.parity.json")]
    names += ["calibration.json"] if calibrates(spec) else []
    names += ["try.html"] if "web" in spec.export.targets else []
    return [*names, "latency.json", *BUNDLE_FILES, "triton"]


def step_of(file: Path) -> str:
    """The step that makes a file of an experiment's results; the first model's evaluation goes with its training."""
    return "train" if file.parts[:2] == ("evaluate", "train") else file.parts[0]
