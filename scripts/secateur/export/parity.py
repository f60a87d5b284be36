"""The gate: an exported file must answer as Keras does on the test images, or the run stops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from secateur.data.classes import labels_of
from secateur.data.manifest import read_manifest
from secateur.errors import ModelError
from secateur.evaluation.metrics import classification_metrics
from secateur.export.final_model import Pixels, Source
from secateur.export.runners import Runner
from secateur.run import Exported
from secateur.spec import Spec
from secateur.steps.evaluate import measured_rows

# Two likeliest classes closer than this are a tie, which rounding may decide either way.
TIE = 2e-4


def measured_parity(source: Source, file: Exported, runner: Runner) -> dict[str, Any]:
    """Run Keras and the exported file on every test image (validation where there are none).

    Returns:
        Agreement, largest difference, and the accuracy of both.
    """
    rows, split = measured_rows(read_manifest(source.run.manifest))
    labels = np.array(labels_of(rows["class"], source.classes))
    pixels = Pixels(source.run, list(rows["path"]))
    by_keras, by_file = _answers(source.reference(file.data_type), pixels, runner)
    agree = (by_keras.argmax(axis=1) == by_file.argmax(axis=1)) | _ties(by_keras)

    top_k = source.run.spec.evaluate.top_k
    own, keras_own = (classification_metrics(p, labels, source.classes, top_k) for p in (by_file, by_keras))
    return {
        "file": file.name,
        "data_type": file.data_type,
        "form": file.form,
        "images": len(labels),
        "split": split,
        "model_sha256": source.card["sha256"],
        "top_1_agreement": float(agree.mean()),
        "max_difference": float(np.abs(by_keras - by_file).max()),
        "accuracy": own,
        "keras": {name: keras_own[name] for name in ("top_1", "top_k", "loss")},
    }


def _answers(model: keras.Model, pixels: Pixels, runner: Runner) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    by_keras, by_file = [], []
    for batch in pixels.batches():
        by_keras.append(np.asarray(model.predict_on_batch(pixels.reader.scaled(batch))))
        by_file.append(runner(batch))
    return np.concatenate(by_keras), np.concatenate(by_file)


def _ties(probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    best = np.sort(probabilities, axis=1)
    return np.asarray(best[:, -1] - best[:, -2] < TIE)


def require_agreement(parity: Mapping[str, Any], spec: Spec) -> None:
    """Raises ModelError where the file does not meet `export.parity`."""
    agreement, difference = spec.export.parity.limits(parity["data_type"])
    if parity["top_1_agreement"] >= agreement and parity["max_difference"] <= difference:
        return
    raise ModelError(
        f"{parity['file']} answers differently from Keras: same top-1 on {parity['top_1_agreement']:.1%} of "
        f"{parity['images']} images (at least {agreement:.1%}), largest difference of a probability "
        f"{parity['max_difference']:.2e} (at most {difference:g})",
        _remedy(parity["data_type"]),
    )


def _remedy(data_type: str) -> str:
    return {
        "fp32": "try the other export.converter and report this model",
        "fp16": "export fp32, or allow more with export.parity",
        "int8": "set export.int8_max_drop: 0.01, retrain with qat: True, or allow more with export.parity",
    }[data_type]
