"""What decides a step's result: the sections of the spec, the listing of the images, the code.

Light on purpose, as `workflow`: a dry run imports this module.

See docs/decisions/snakemake-traps.md.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from secateur.data.listing import listing_digest
from secateur.export.exported_files import exported_files
from secateur.run import WITHOUT_EFFECT_ON_RESULTS
from secateur.spec import Spec, TrainSpec

DIGITS, DIGITS_INDEX = "data/digits", "data/digits.csv"
# Where data come from decides the manifest, which later steps read; the rest of `data` is preprocessing.
SOURCE_KEYS = {
    "source", "split", "train_dataset_path", "val_dataset_path", "num_classes", "on_corrupt", "multi_label", "group",
}  # fmt: skip
# Keys of `data` that change no pixel.
NOT_PIXELS = SOURCE_KEYS | {"cache", "sampling"}
PACKAGE = Path(__file__).parent.parent
# Keys of `export` that change no exported file, and that change no range.
OF_ENGINES = {
    "engine_file", "engine_data_type", "max_workspace_size", "min_batch_size", "opt_batch_size", "max_batch_size",
    "targets",
}  # fmt: skip
NOT_CALIBRATION = OF_ENGINES | {"output_path", "parity", "data_type"}
# Keys of `model` that decide what is stored of an image.
STORED_BY = {"input_image_size", "input_image_depth", "resize_interpolation_method"}
PIXELS = ("data/images.py", "data/preprocessing.py", "data/augment.py")
ONNX = ("keras_to_onnx/writer.py", "keras_to_onnx/layers.py", "export/tf2onnx_route.py")
QUANTIZED = tuple(f"quantization/{name}.py" for name in ("placement", "ranges", "qdq", "calibration"))
MEASURED_ON = ("export/final_model.py", "steps/calibrate.py", "export/input_scaling.py")
TIMED = ("export/timing.py", "quantization/exact.py")
# Parts of the package whose change makes a step's result out of date.
CODE = {
    "digits": ("steps/digits.py",),
    "split": (
        "report/split_page.py",
        *(
            f"data/{name}.py"
            for name in (
                "splitting",
                "assignment",
                "manifest",
                "classes",
                "sources",
                "voc",
                "unpacking",
                "preflight",
                "similar",
            )
        ),
    ),
    "cache": ("steps/cache.py", "data/image_cache.py", *PIXELS),
    "pack": PIXELS,
    "train": (*PIXELS, "data/pipeline.py", "zoo", "training", "steps/train.py", "steps/trainer.py", "byom/backbone.py"),
    "prune": ("pruning", "steps/prune.py", "steps/pruning_images.py", "report/pruning_page.py", *TIMED),
    "front": ("steps/pareto.py", "report/pareto_figure.py", *TIMED),
    "evaluate": (*PIXELS, "data/pipeline.py", "evaluation/metrics.py", "steps/evaluate.py"),
    "inference": (*PIXELS, "data/pipeline.py", "steps/inference.py"),
    "qat": (*QUANTIZED, "quantization/aware.py"),
    "calibrate": (
        *PIXELS,
        "data/pipeline.py",
        *QUANTIZED,
        "quantization/sensitivity.py",
        "quantization/exact.py",
        *ONNX,
        *MEASURED_ON,
    ),
    "export": (
        *PIXELS,
        "data/pipeline.py",
        *QUANTIZED,
        "quantization/integers.py",
        "quantization/exact.py",
        *ONNX,
        *MEASURED_ON,
        "export/onnx_content.py",
        "export/embed.py",
        "keras_to_onnx/half.py",
        "export/parity.py",
        "export/runners.py",
        "steps/export.py",
        "export/targets.py",
    ),
    "latency": (*TIMED, "steps/latency.py", *ONNX),
    "bundle": ("export/bundle", "steps/bundle.py", "export/engine_options.py", "export/input_scaling.py"),
    "web": ("export/try.html", "steps/web.py"),
    "engine": ("steps/engine.py", "export/engine_options.py"),
    "report": ("report", "steps/report.py", "steps/index.py", "evaluation/saliency.py", "evaluation/accuracy.py"),
}


def code_digest(step: str) -> str:
    """Digest of the sources that a step's result depends on."""
    digest = hashlib.sha256()
    for part in CODE[step]:
        path = PACKAGE / part
        files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix != ".pyc")
        for file in files if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _plain(section: Any, exclude: set[str] | None = None) -> dict[str, Any]:
    return section.model_dump(mode="json", exclude=exclude) if section is not None else {}


def section_params(spec: Spec, step: str) -> dict[str, Any]:
    """Plain data whose change reruns a step: the sections that it reads, without the key."""
    pixels = {"data": _plain(spec.data, NOT_PIXELS), "model": _plain(spec.model)}
    fed = {**pixels, "augment": _plain(spec.augment), "sampling": spec.data.sampling}
    crop = {"enable_center_crop": spec.augment.enable_center_crop}
    by_step: dict[str, dict[str, Any]] = {
        "split": {
            "data": spec.data.model_dump(mode="json", include=SOURCE_KEYS),
            "test": spec.evaluate.dataset_path,
            "listing": _listing(tuple(root for root in image_roots(spec) if not is_digits(root))),
        },
        "cache": {
            **crop,
            "enable_random_crop": spec.augment.enable_random_crop,
            "model": spec.model.model_dump(mode="json", include=STORED_BY),
            "cache": spec.data.cache,
        },
        "train": {**fed, "train": _plain(spec.train, WITHOUT_EFFECT_ON_RESULTS), **_rounded(spec.train)},
        "prune": {"prune": _plain(spec.prune), **_looked_at(spec)},
        "retrain": {**fed, "train": _plain(spec.retrain, WITHOUT_EFFECT_ON_RESULTS), **_rounded(spec.retrain)},
        "evaluate": {**pixels, **crop, "top_k": spec.evaluate.top_k},
        "inference": {
            **pixels,
            **crop,
            "inference": _plain(spec.inference),
            "listing": _inference_listing(spec),
        },
        "calibrate": {**pixels, **crop, "export": _plain(spec.export, NOT_CALIBRATION), "listing": _calibration(spec)},
        "export": {**pixels, **crop, "export": _plain(spec.export, OF_ENGINES)},
        "latency": {"file": exported_files(spec)[0].name, "prunes": spec.prunes},
        "bundle": {**pixels, **crop, "export": _plain(spec.export), "type": spec.exported_type},
        "web": {**pixels, **crop, "export": _plain(spec.export, OF_ENGINES)},
        "engine": {**pixels, **crop, "export": _plain(spec.export), "type": spec.engine_type},
    }
    return by_step[step]


def _rounded(section: TrainSpec | None) -> dict[str, Any]:
    """What else decides a training for int8: where the network is quantised."""
    return {"rounding": code_digest("qat")} if section is not None and section.qat else {}


def _calibration(spec: Spec) -> str:
    folders = spec.export.cal_image_dir
    return _listing(tuple(folders)) if folders else ""


def _looked_at(spec: Spec) -> dict[str, Any]:
    """What else decides a pruning that looks at images, or trains between two cuts."""
    if spec.prune is None or not spec.prune.needs_images:
        return {}
    pixels = {"data": _plain(spec.data, NOT_PIXELS), "model": _plain(spec.model), "code": code_digest("evaluate")}
    if not spec.prune.trains:
        return pixels
    short = _plain(spec.retrain, WITHOUT_EFFECT_ON_RESULTS | {"num_epochs"})
    fed = {**pixels, "augment": _plain(spec.augment), "sampling": spec.data.sampling}
    return {**fed, "train": short, "code": code_digest("train")}


def _inference_listing(spec: Spec) -> str:
    folder = spec.inference.image_dir
    return _listing((folder,)) if folder and not is_digits(folder) else ""


def image_roots(spec: Spec) -> list[str]:
    """The folders of images that split reads."""
    data = spec.data
    roots = (
        [data.source] if data.source else [data.train_dataset_path, data.val_dataset_path, spec.evaluate.dataset_path]
    )
    return [root for root in roots if root]


def is_digits(root: str) -> bool:
    """Whether a folder is that of the digits, which the workflow makes itself."""
    return os.path.normpath(root) == DIGITS or os.path.normpath(root).startswith(DIGITS + "/")


@lru_cache
def _listing(roots: tuple[str, ...]) -> str:
    return listing_digest(list(roots))
