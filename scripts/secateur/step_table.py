"""The table of all steps: help, function, files and the effects on which each step depends.

The command line, the scripts of the rules, the outputs of the rules, `secateur status` and the report read this table.
No Keras is imported: functions are given by name, so that a dry run loads no step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from secateur.spec.fields import Effect


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: of the rule and of the script.
        help: text for the command line.
        function: `module:name`; it takes a run, a stream for messages, and the wildcards of its rule.
        folder: of its files, below the results of an experiment; `{stage}` is a wildcard.
        files: role -> name of the file in the folder; a name that ends in `/` is a folder.
        shown: roles of the files that the report of a run shows.
        effects: the step depends on all keys with one of these effects.
        uses_gpu: whether it uses a GPU, if there is one.
        checkpoints: whether it keeps checkpoints in the work folder and can be resumed.
        is_page: whether its result is a page, which depends on the code of pages.
    """

    name: str
    help: str
    function: str
    folder: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    uses_gpu: bool = False
    checkpoints: bool = False
    is_page: bool = False

    @property
    def module(self) -> str:
        """The name of the module of its function."""
        return self.function.partition(":")[0]

    def load(self) -> Callable[..., Any]:
        """Import the function. This can take seconds."""
        module, _, name = self.function.partition(":")
        found: Callable[..., Any] = getattr(import_module(module), name)
        return found

    def path(self, role: str) -> str:
        """The path of a file below the results, with its wildcards."""
        return f"{self.folder}/{self.files[role]}" if self.folder else self.files[role]


_TRAINED = {"model": "model.tlt", "history": "history.csv", "metrics": "metrics.json"}

STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        Step(
            "split",
            "read the images and split them -> split/manifest.csv, classmap.json, report.json",
            "secateur.steps.split:split_step",
            "split",
            {
                "manifest": "manifest.csv",
                "classmap": "classmap.json",
                "findings": "findings.csv",
                "report": "report.json",
                "page": "report.html",
            },
            shown=("manifest", "classmap", "report"),
            effects=("split",),
        ),
        Step(
            "cache",
            "keep decoded images in files, if they fit -> work/cache/, cache/image_cache.json",
            "secateur.steps.cache:cache_step",
            "cache",
            {"image_cache": "image_cache.json"},
            effects=("cache",),
        ),
        Step(
            "train",
            "train the first model -> train/model.tlt",
            "secateur.steps.train:train",
            "train",
            _TRAINED,
            shown=("history", "metrics"),
            effects=("pixels", "training"),
            uses_gpu=True,
            checkpoints=True,
        ),
        Step(
            "prune",
            "remove weak channels -> prune/model.tlt",
            "secateur.steps.prune:prune_step",
            "prune",
            {"model": "model.tlt", "report": "report.json", "page": "report.html"},
            shown=("report",),
            effects=("prune",),
            uses_gpu=True,
            checkpoints=True,
        ),
        Step(
            "retrain",
            "train the pruned model -> retrain/model.tlt",
            "secateur.steps.train:retrain",
            "retrain",
            _TRAINED,
            shown=("history", "metrics"),
            effects=("pixels", "training"),
            uses_gpu=True,
            checkpoints=True,
        ),
        Step(
            "evaluate",
            "measure accuracy and confusion of a model -> evaluate/<model>/",
            "secateur.steps.evaluate:evaluate",
            "evaluate/{stage}",
            {"metrics": "metrics.json", "predictions": "predictions.csv", "confusion": "confusion.csv"},
            shown=("metrics", "predictions", "confusion"),
            effects=("pixels", "evaluate"),
            uses_gpu=True,
        ),
        Step(
            "inference",
            "label a folder of images -> inference/result.csv",
            "secateur.steps.inference:inference",
            "inference",
            {"result": "result.csv", "unreadable": "unreadable.csv"},
            effects=("pixels", "inference"),
            uses_gpu=True,
        ),
        Step(
            "calibrate",
            "measure the ranges of activations for int8 -> export/calibration.json",
            "secateur.steps.calibrate:calibrate",
            "export",
            {"calibration": "calibration.json"},
            effects=("pixels", "calibrate"),
        ),
        Step(
            "export",
            "write ONNX, plain or encrypted, and the files beside it -> export/",
            "secateur.steps.export:export",
            "export",
            effects=("pixels", "export"),
        ),
        Step(
            "latency",
            "time the networks side by side -> export/latency.json",
            "secateur.steps.latency:measure_latency",
            "export",
            {"latency": "latency.json"},
            shown=("latency",),
            effects=("latency",),
        ),
        Step(
            "bundle",
            "write what a device needs beside the model -> export/README.md, predict.py, ...",
            "secateur.steps.bundle:bundle",
            "export",
            {
                "labels": "labels.txt",
                "preprocessing": "preprocessing.json",
                "metrics": "metrics.json",
                "nvinfer": "nvinfer_config.txt",
                "nvinfer_labels": "nvinfer_labels.txt",
                "trtexec": "trtexec.sh",
                "predict": "predict.py",
                "readme": "README.md",
                "manifest": "MANIFEST.json",
                "triton": "triton/",
            },
            effects=("pixels", "bundle"),
        ),
        Step(
            "engine",
            "build a TensorRT engine of the exported model -> engine/",
            "secateur.steps.engine:build_engine",
            "engine",
            {"engine": "model.engine", "metrics": "metrics.json"},
            shown=("metrics",),
            effects=("pixels", "engine"),
            uses_gpu=True,
        ),
        Step(
            "report",
            "show all results of the run on one page -> report.html",
            "secateur.steps.report:report",
            "",
            {"page": "report.html"},
            is_page=True,
        ),
    )
}

# Steps over several experiments: their files are below the root of the results.
COMMON_STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        Step(
            "digits",
            "write scikit-learn's digits as class folders",
            "secateur.steps.digits:write_digits",
        ),
        Step(
            "pareto",
            "compare the points of a sweep -> sweeps/<sweep>/pareto.csv, pareto.png",
            "secateur.steps.pareto:pareto_step",
            "sweeps/{sweep}",
            {"table": "pareto.csv", "svg": "pareto.svg", "png": "pareto.png"},
            effects=("pareto",),
            is_page=True,
        ),
        Step(
            "index",
            "show all experiments and sweeps on one page -> index.html",
            "secateur.steps.index:index_step",
            "",
            {"page": "index.html"},
            is_page=True,
        ),
    )
}
ALL_STEPS: dict[str, Step] = {**STEPS, **COMMON_STEPS}
