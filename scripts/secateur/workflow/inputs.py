"""What each step depends on: the files it reads and the values whose change makes its result out of date.

Light on purpose, as `experiments` is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from secateur.data.filesystem import is_file_source
from secateur.export.exported_files import BUNDLE_FILES, Exported, export_name, exported_files
from secateur.run import Run, given_model
from secateur.spec import Spec
from secateur.workflow.experiments import Experiments
from secateur.workflow.outputs import export_names, page_files
from secateur.workflow.staleness import DIGITS_INDEX, image_roots, is_digits, section_params


class Inputs:
    """Of every experiment of one configuration; a method with a step's name answers the files that the step reads."""

    def __init__(self, experiments: Experiments) -> None:
        self.experiments = experiments

    def _spec(self, name: str) -> Spec:
        return self.experiments.specs[name]

    def _run(self, name: str) -> Run:
        return self.experiments.run(name)

    def split(self, name: str) -> list[str]:
        """Files that split depends on: tables, archives, and the index of the digits when the spec uses them."""
        roots = image_roots(self._spec(name))
        files = [root for root in roots if is_file_source(root)]
        return files + ([DIGITS_INDEX] if any(is_digits(root) for root in roots) else [])

    def packs(self, name: str) -> str:
        """What is cached of the images; a training waits for it."""
        return str(self._run(name).folder("cache") / "packs.json")

    def start_model(self, name: str) -> list[str]:
        """The files that the first training starts from, if any."""
        spec = self._spec(name)
        paths = (spec.train.pretrained_model_path, spec.model.byom_model)
        return [str(self._run(name).resolve(path, Path(path))) for path in paths if path]

    def manifest(self, name: str) -> dict[str, str]:
        """The images and classes that an experiment reads: its own, or those that a sweep's points share."""
        run = self._run(name)
        return {"manifest": str(run.manifest), "classmap": str(run.classmap)}

    def prune(self, name: str) -> dict[str, str]:
        """The model, and the images where pruning looks at them."""
        section = self._spec(name).prune
        images = self.manifest(name) if section and section.needs_images else {}
        return {"model": self.pruned_model(name), **images}

    def pruned_model(self, name: str) -> str:
        """The model that is pruned."""
        run = self._run(name)
        section = self._spec(name).prune
        path = section.model_path if section else None
        return str(run.model("train") if path in (None, "EVALMODEL") else run.resolve(path, run.model("train")))

    def retrain(self, name: str) -> dict[str, str]:
        """The pruned model, the images, and the unpruned model where it teaches."""
        spec, folder = self._spec(name), self._run(name).folder("prune")
        teacher = {"teacher": self.pruned_model(name)} if spec.retrain and spec.retrain.distill else {}
        return {
            "model": str(folder / "model.tlt"),
            "report": str(folder / "report.json"),
            **self.manifest(name),
            **teacher,
        }

    def evaluated_model(self, name: str, stage: str) -> str:
        """The model that `evaluate/<stage>` measures."""
        run = self._run(name)
        return str(
            run.resolve(given_model(self._spec(name)), run.model(stage)) if stage == "given" else run.model(stage)
        )

    def inference(self, name: str) -> list[str]:
        """The model, the class map, and the digits' index when images are taken from there."""
        section, run = self._spec(name).inference, self._run(name)
        files = [
            run.resolve(section.model_path, run.model(run.final_step)),
            run.resolve(section.classmap, run.classmap),
        ]
        index = [DIGITS_INDEX] if is_digits(section.image_dir or "") else []
        return [str(file) for file in files] + index

    def exported_model(self, name: str) -> str:
        """The model that is exported."""
        run = self._run(name)
        return str(run.resolve(self._spec(name).export.model_path, run.model(run.final_step)))

    def export(self, name: str, file: str) -> dict[str, str]:
        """The model, the images, and for int8 the ranges of its activations."""
        files = {"model": self.exported_model(name), **self.manifest(name)}
        kind = self._exported(name, file)
        if kind is not None and kind.data_type == "int8" and kind.form != "tflite":
            files["calibration"] = str(self._run(name).results / "export" / "calibration.json")
        return files

    def export_params(self, name: str, file: str) -> dict[str, Any]:
        """Plain data whose change writes an exported file anew: its precision is that of the engine for TensorRT's."""
        kind = self._exported(name, file)
        return {**self.params(name, "export"), "type": kind and kind.data_type}

    def _exported(self, name: str, file: str) -> Exported | None:
        return next((exported for exported in exported_files(self._spec(name)) if exported.name == file), None)

    def latency(self, name: str) -> dict[str, str]:
        """The networks that are timed."""
        unpruned = {"unpruned": self.pruned_model(name)} if self._spec(name).prunes else {}
        exported = self._run(name).results / "export" / export_name(self._spec(name))
        return {"exported": str(exported), "model": self.exported_model(name), **unpruned}

    def bundle(self, name: str) -> list[str]:
        """The exported models, their figures, the images and classes."""
        folder = self._run(name).results / "export"
        made = [folder / file for file in export_names(self._spec(name)) if file not in BUNDLE_FILES]
        return [str(path) for path in [*made, *self.manifest(name).values()] if path != folder / "triton"]

    def engine(self, name: str) -> list[str]:
        """The exported files and what the engine is measured on."""
        folder = self._run(name).results / "export"
        exported = [str(folder / file.name) for file in exported_files(self._spec(name))]
        return [*exported, self.exported_model(name), *self.manifest(name).values()]

    def front(self, name: str) -> list[str]:
        """The files that the front of a sweep reads."""
        points = self.experiments.sweeps[name].points()
        files = [path for point in points for path in self.experiments.point_files(point.name)]
        read = [
            path for path in files if path.name in ("model.tlt", "metrics.json") or path.suffix in (".etlt", ".onnx")
        ]
        return list(dict.fromkeys(map(str, read)))

    def report(self, name: str) -> list[str]:
        """The files that an experiment's page is made from."""
        run = self._run(name)
        read = page_files(self._spec(name), run.results)
        return [str(path) for path in [*read, run.model(run.final_step)]]

    def index(self) -> list[str]:
        """The pages of the experiments, and the tables of the sweeps."""
        results = self.experiments.results
        pages = [results / name / "report.html" for name in self.experiments.reported]
        return [
            str(path)
            for path in [*pages, *(results / "sweeps" / name / "front.csv" for name in self.experiments.sweeps)]
        ]

    def params(self, name: str, step: str) -> dict[str, Any]:
        """Plain data whose change reruns a step."""
        return section_params(self._spec(name), step)

    def gpus(self, name: str, step: str) -> int:
        """Devices that a step works with."""
        return gpus_of(self._spec(name), step)


def gpus_of(spec: Spec, step: str) -> int:
    """How many GPUs a step of this spec works with."""
    if step == "prune":
        return int(spec.prune is not None and spec.prune.needs_images)
    if step in ("train", "retrain"):
        return ((spec.retrain if step == "retrain" else None) or spec.train).gpus
    return int(step in ("evaluate", "inference", "engine"))
