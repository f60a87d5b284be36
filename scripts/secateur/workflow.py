"""What the Snakefile needs to know: experiments, their files, and what each step depends on.

Light on purpose: no Keras, no TensorFlow, no Snakemake. A dry run imports this module.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from secateur.artifacts import require_writable
from secateur.data.listing import listing_digest
from secateur.errors import SecateurError, SpecError, format_error
from secateur.run import WITHOUT_EFFECT_ON_RESULTS, Run, export_name, given_model
from secateur.spec import Spec, load_spec

RESULTS, WORK = Path("results"), Path("work")
DIGITS, DIGITS_INDEX = "data/digits", "data/digits.csv"
# Where data come from decides the manifest, which later steps read; the rest of `data` is preprocessing.
SOURCE_KEYS = {"source", "split", "train_dataset_path", "val_dataset_path", "num_classes"}
# Names become folders and Snakemake wildcards.
EXPERIMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
PACKAGE = Path(__file__).parent
# Parts of the package whose change makes a step's result out of date.
CODE = {
    "digits": ("data/digits.py",),
    "split": ("data/split.py", "data/manifest.py", "data/classes.py"),
    "train": ("data/images.py", "data/augment.py", "data/pipeline.py", "zoo", "training"),
    "prune": ("pruning",),
    "evaluate": ("data/images.py", "data/pipeline.py", "evaluation/metrics.py", "evaluation/evaluate.py"),
    "inference": ("data/images.py", "data/pipeline.py", "evaluation/inference.py"),
    "export": ("data/images.py", "data/pipeline.py", "export"),
}


class Experiments:
    """All experiments of one configuration.

    Args:
        config: content of config.yaml: `experiments` maps names to spec files.

    Raises:
        SpecError: a bad name, a bad spec, or two experiments with one results_dir.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        paths = config.get("experiments")
        if not isinstance(paths, Mapping) or not paths:
            raise SpecError(
                "the configuration names no experiments", "write `experiments:` and `name: spec.yaml` below it"
            )
        self.paths = {str(name): str(path) for name, path in paths.items()}
        for name in self.paths:
            if not EXPERIMENT_NAME.fullmatch(name):
                raise SpecError(f"'{name}' cannot name an experiment", "use letters, digits, - and _")
        self.specs = {name: load_spec(path) for name, path in self.paths.items()}
        self._refuse_shared_results()
        self._refuse_missing_models()

    def _refuse_shared_results(self) -> None:
        owner: dict[str, str] = {}
        for name, spec in self.specs.items():
            folder = os.path.abspath(spec.results_dir or RESULTS / name)
            if folder in owner:
                raise SpecError(
                    f"the experiments {owner[folder]} and {name} both write to {folder}",
                    "give each its own results_dir",
                )
            owner[folder] = name

    def _refuse_missing_models(self) -> None:
        """Specs of TAO can name files of an earlier run by their full path; say so before anything runs."""
        for name, spec in self.specs.items():
            for key, path in _model_paths(spec).items():
                file = self.run(name).resolve(path, Path())
                made_here = file.parts[:1] == RESULTS.parts
                if path and not made_here and not file.exists():
                    raise SpecError(
                        f"{self.paths[name]}: {key}: there is no file {file}",
                        "write EVALMODEL for the model of this run, or remove the key",
                    )

    def run(self, name: str) -> Run:
        """The files of one experiment as the workflow names them."""
        return workflow_run(name, self.specs[name])

    def targets(self) -> list[str]:
        """Every durable file of every experiment: what `rule all` asks for.

        All are listed, not only the last ones: after a failed job Snakemake 9.27 can take a result for up to
        date whose maker's output is missing (snakemake#3808).
        """
        return [str(path) for name in self.specs for path in self._files(name)]

    def _files(self, name: str) -> list[Path]:
        spec, results = self.specs[name], self.run(name).results
        files = [results / "split" / file for file in ("manifest.csv", "classmap.json", "report.json")]
        steps = ["train", "retrain"] if spec.prunes else ["train"]
        for step in steps:
            files += [results / step / file for file in ("model.tlt", "history.csv", "metrics.json")]
        if spec.prunes:
            files += [results / "prune" / file for file in ("model.tlt", "report.json")]
        for stage in [*steps, "given"] if given_model(spec) else steps:
            folder = results / "evaluate" / stage
            files += [folder / file for file in ("metrics.json", "predictions.csv", "confusion.csv")]
        if spec.inference.image_dir:
            files += [results / "inference" / file for file in ("result.csv", "unreadable.csv")]
        exported = export_name(spec)
        names = (exported, f"{exported}.parity.json", "labels.txt", "preprocessing.json")
        return files + [results / "export" / file for file in names]

    def sources(self, name: str) -> list[str]:
        """Files that split depends on: the index of the digits when the spec uses them."""
        return [DIGITS_INDEX] if any(_is_digits(root) for root in self._roots(name)) else []

    def inference_inputs(self, name: str) -> list[str]:
        """The model, the class map, and the digits' index when images are taken from there."""
        section, run = self.specs[name].inference, self.run(name)
        files = [
            run.resolve(section.model_path, run.model(run.final_step)),
            run.resolve(section.classmap, run.classmap),
        ]
        index = [DIGITS_INDEX] if _is_digits(section.image_dir or "") else []
        return [str(file) for file in files] + index

    def evaluated_model(self, name: str, stage: str) -> str:
        """The model that `evaluate/<stage>` measures."""
        run = self.run(name)
        return str(
            run.resolve(given_model(self.specs[name]), run.model(stage)) if stage == "given" else run.model(stage)
        )

    def pruned_model(self, name: str) -> str:
        """The model that is pruned."""
        run = self.run(name)
        section = self.specs[name].prune
        path = section.model_path if section else None
        return str(run.model("train") if path in (None, "EVALMODEL") else run.resolve(path, run.model("train")))

    def start_model(self, name: str) -> list[str]:
        """The files that the first training starts from, if any."""
        spec = self.specs[name]
        paths = (spec.train.pretrained_model_path, spec.model.byom_model)
        return [str(self.run(name).resolve(path, Path(path))) for path in paths if path]

    def exported_model(self, name: str) -> str:
        """The model that is exported."""
        run = self.run(name)
        return str(run.resolve(self.specs[name].export.model_path, run.model(run.final_step)))

    def params(self, name: str, step: str) -> dict[str, Any]:
        """Plain data whose change reruns a step: the sections that it reads, without the key."""
        spec = self.specs[name]
        pixels = {"data": _plain(spec.data, SOURCE_KEYS), "model": _plain(spec.model)}
        crop = {"enable_center_crop": spec.augment.enable_center_crop}
        by_step: dict[str, dict[str, Any]] = {
            "split": {
                "data": spec.data.model_dump(mode="json", include=SOURCE_KEYS),
                "test": spec.evaluate.dataset_path,
                "listing": _listing(tuple(root for root in self._roots(name) if not _is_digits(root))),
            },
            "train": {
                **pixels,
                "augment": _plain(spec.augment),
                "train": _plain(spec.train, WITHOUT_EFFECT_ON_RESULTS),
            },
            "prune": {"prune": _plain(spec.prune)},
            "retrain": {
                **pixels,
                "augment": _plain(spec.augment),
                "train": _plain(spec.retrain, WITHOUT_EFFECT_ON_RESULTS),
            },
            "evaluate": {**pixels, **crop, "top_k": spec.evaluate.top_k},
            "inference": {
                **pixels,
                **crop,
                "inference": _plain(spec.inference),
                "listing": self._inference_listing(name),
            },
            "export": {**pixels, **crop, "export": _plain(spec.export)},
        }
        return by_step[step]

    def _inference_listing(self, name: str) -> str:
        folder = self.specs[name].inference.image_dir
        return _listing((folder,)) if folder and not _is_digits(folder) else ""

    def _roots(self, name: str) -> list[str]:
        spec = self.specs[name]
        data = spec.data
        roots = (
            [data.source]
            if data.source
            else [data.train_dataset_path, data.val_dataset_path, spec.evaluate.dataset_path]
        )
        return [root for root in roots if root]

    def link_results(self) -> None:
        """Where a spec has its own results_dir, make `results/<experiment>` a link to it.

        Raises:
            SpecError: `results/<experiment>` holds other results already.
            ArtifactError: the folder or the link cannot be made.
        """
        for name, spec in self.specs.items():
            if spec.results_dir and os.path.abspath(spec.results_dir) != os.path.abspath(RESULTS / name):
                _link(RESULTS / name, Path(spec.results_dir))


def load_experiments(config: Mapping[str, Any]) -> Experiments:
    """The experiments; a mistake in a spec ends the process with our message and exit code."""
    with readable_errors():
        return Experiments(config)


class readable_errors:
    """Ends the process with `error:` and `hint:` in place of a traceback."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, SecateurError):
            print(format_error(error), file=sys.stderr)
            raise SystemExit(error.exit_code) from None


def workflow_run(name: str, spec: Spec) -> Run:
    """Inside the workflow results stand at `results/<experiment>`, which may be a link to `results_dir`."""
    return Run(name, spec, RESULTS / name, WORK / name)


def code_digest(step: str) -> str:
    """Digest of the sources that a step's result depends on."""
    digest = hashlib.sha256()
    for part in CODE[step]:
        path = PACKAGE / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _plain(section: Any, exclude: set[str] | None = None) -> dict[str, Any]:
    return section.model_dump(mode="json", exclude=exclude) if section is not None else {}


def _is_digits(root: str) -> bool:
    return os.path.normpath(root) == DIGITS or os.path.normpath(root).startswith(DIGITS + "/")


@lru_cache
def _listing(roots: tuple[str, ...]) -> str:
    return listing_digest(list(roots))


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        if link.resolve() == target.resolve():
            return
        link.unlink()
    elif link.exists():
        raise SpecError(f"{link} holds results, but the spec has results_dir {target}", f"move {link} away")
    require_writable(target)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target.resolve())


def _model_paths(spec: Spec) -> dict[str, str | None]:
    return {
        "train.pretrained_model_path": spec.train.pretrained_model_path,
        "model.byom_model": spec.model.byom_model,
        "prune.model_path": spec.prune.model_path if spec.prune else None,
        "evaluate.model_path": spec.evaluate.model_path,
        "inference.model_path": spec.inference.model_path,
        "export.model_path": spec.export.model_path,
    }
