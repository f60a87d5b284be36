"""The dependencies of each rule: the files that it reads, and the values whose change makes its results out of date.

It also returns the cores, GPUs, memory and time of each rule. This module imports no Keras and no TensorFlow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from secateur.data.filesystem import is_file_source
from secateur.export.exported_files import exported_file, exported_files
from secateur.run import Run
from secateur.spec import Spec
from secateur.step_table import COMMON_STEPS, STEPS
from secateur.workflow.experiments import Experiments
from secateur.workflow.outputs import exported_paths, page_files
from secateur.workflow.resources import Machine, gpus_of, mem_mb_of, runtime_min_of, threads_of
from secateur.workflow.staleness import DIGITS_INDEX, Contents, is_digits, places_of_split, step_params

# The number of cores is not known.
HERE = Machine()


class Inputs:
    """The inputs of every experiment. The method with the name of a step returns the files that the step reads.

    Args:
        experiments: all of them.
        machine: that jobs share.
    """

    def __init__(self, experiments: Experiments, machine: Machine = HERE) -> None:
        self.experiments = experiments
        self.machine = machine
        self.contents = Contents(experiments.work)

    def _spec(self, name: str) -> Spec:
        return self.experiments.specs[name]

    def _run(self, name: str) -> Run:
        return self.experiments.run(name)

    def params(self, name: str, step: str, part: str = "") -> dict[str, Any]:
        """Plain data whose change makes a step's results out of date."""
        return step_params(self._spec(name), step, self.contents, part)

    def split(self, name: str) -> list[str]:
        """Tables and archives of images, and the index of the digits if the spec uses them."""
        places = places_of_split(self._spec(name))
        files = [place for place in places if is_file_source(place)]
        return files + ([DIGITS_INDEX] if any(is_digits(place) for place in places) else [])

    def start_model(self, name: str) -> list[str]:
        """The model files from which the first training starts, if any."""
        spec = self._spec(name)
        paths = (spec.train.pretrained_model_path, spec.model.byom_model)
        return [str(self._run(name).resolve(path, Path(path))) for path in paths if path]

    def manifest(self, name: str) -> dict[str, str]:
        """The images and classes of an experiment: its own, or the shared ones of a sweep."""
        run = self._run(name)
        return {"manifest": str(run.manifest), "classmap": str(run.classmap)}

    def prune(self, name: str) -> dict[str, str]:
        """The model, and the images if pruning reads them."""
        section = self._spec(name).prune
        images = self.manifest(name) if section and section.needs_images else {}
        return {"model": self.model_to_prune(name), **images}

    def model_to_prune(self, name: str) -> str:
        """The model that is pruned."""
        return str(self._run(name).model_to_prune)

    def retrain(self, name: str) -> dict[str, str]:
        """The pruned model, the images, and the unpruned model if it is the teacher."""
        spec, run = self._spec(name), self._run(name)
        teacher = {"teacher": self.model_to_prune(name)} if spec.retrain and spec.retrain.distill else {}
        files = {role: str(run.file("prune", role)) for role in ("model", "report")}
        return {**files, **self.manifest(name), **teacher}

    def evaluated_model(self, name: str, stage: str) -> str:
        """The model that `evaluate/<stage>` measures."""
        return str(self._run(name).evaluated_model(stage))

    def inference(self, name: str) -> list[str]:
        """The model, the class map, and the index of the digits if their images are labelled."""
        section, run = self._spec(name).inference, self._run(name)
        files = [
            run.resolve(section.model_path, run.model(run.final_step)),
            run.resolve(section.classmap, run.classmap),
        ]
        index = [DIGITS_INDEX] if is_digits(section.image_dir or "") else []
        return [str(file) for file in files] + index

    def model_to_export(self, name: str) -> str:
        """The model that is exported."""
        return str(self._run(name).model_to_export)

    def export(self, name: str, file: str) -> dict[str, str]:
        """The model, the images and, for int8, the ranges of its activations."""
        files = {"model": self.model_to_export(name), **self.manifest(name)}
        exported = exported_file(self._spec(name), file)
        if exported is not None and exported.needs_ranges:
            files["calibration"] = str(self._run(name).file("calibrate", "calibration"))
        return files

    def latency(self, name: str) -> dict[str, str]:
        """The networks that are timed."""
        compared = self._spec(name).prunes and self._run(name).exports_own_model
        unpruned = {"unpruned": self.model_to_prune(name)} if compared else {}
        first = exported_files(self._spec(name))[0]
        return {
            "exported": str(self._run(name).export_file(first.name)),
            "model": self.model_to_export(name),
            "classmap": self.manifest(name)["classmap"],
            **unpruned,
        }

    def bundle(self, name: str) -> list[str]:
        """The exported models, their figures, the images and classes."""
        results = self._run(name).results
        made = [str(results / path) for path in exported_paths(self._spec(name), without=("bundle",))]
        return [*made, *self.manifest(name).values()]

    def engine(self, name: str) -> list[str]:
        """The exported files, and the images on which the engine is measured."""
        run = self._run(name)
        exported = [str(run.export_file(file.name)) for file in exported_files(self._spec(name))]
        return [*exported, self.model_to_export(name), *self.manifest(name).values()]

    def pareto(self, name: str) -> list[str]:
        """The models and figures that a sweep compares."""
        points = self.experiments.sweeps[name].points()
        files = [path for point in points for path in self.experiments.point_files(point.name)]
        read = [
            path for path in files if path.name in ("model.tlt", "metrics.json") or path.suffix in (".etlt", ".onnx")
        ]
        return list(dict.fromkeys(map(str, read)))

    def report(self, name: str) -> list[str]:
        """The files that an experiment's page shows."""
        run = self._run(name)
        read = page_files(self._spec(name), run.results)
        return [str(path) for path in [*read, run.model(run.final_step)]]

    def index(self) -> list[str]:
        """The pages of the experiments, and the tables of the sweeps."""
        results, pareto = self.experiments.results, COMMON_STEPS["pareto"]
        pages = [results / name / STEPS["report"].path("page") for name in self.experiments.reported]
        tables = [results / pareto.path("table").format(sweep=name) for name in self.experiments.sweeps]
        return [str(path) for path in [*pages, *tables]]

    def gpus(self, name: str, step: str) -> int:
        """The number of GPUs of a step."""
        return gpus_of(self._spec(name), step)

    def threads(self, name: str, step: str) -> int:
        """How many cores a step asks for."""
        return threads_of(self._spec(name), step, self.machine)

    def mem_mb(self, name: str, step: str, attempt: int = 1) -> int:
        """Memory that a step asks for, in MB; more with each attempt, since the last one may have had too little."""
        return attempt * mem_mb_of(self._spec(name), step)

    def runtime(self, name: str, step: str) -> int:
        """Minutes that a step asks for."""
        return runtime_min_of(self._spec(name), step)
