"""The gate: an exported file must give the same answers as Keras on the test images, or the run stops.

See docs/decisions/export-gate.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secateur.data.classes import labels_of
from secateur.errors import ModelError
from secateur.evaluation.metrics import classification_metrics
from secateur.export.exported_files import Exported
from secateur.export.final_model import FinalModel, Pixels
from secateur.export.runners import Runner
from secateur.spec import Spec

# If the two most likely classes are closer than this, rounding may exchange them, and both count as right.
TIE = 2e-4


def measured_parity(
    final: FinalModel, file: Exported, runner: Runner, rows: pd.DataFrame, split: str
) -> dict[str, Any]:
    """Run Keras and the exported file on all images of a split.

    Args:
        final: the network that was exported.
        file: the file to measure.
        runner: runs the file.
        rows: the images, rows of the manifest.
        split: their split.

    Returns:
        The agreement, the largest difference, and the accuracy of both.
    """
    labels = np.array(labels_of(rows["class"], final.classes))
    pixels = Pixels(final.spec, list(rows["path"]))
    by_keras, by_file = _answers(final.reference(file.data_type), pixels, runner)
    agree = (by_keras.argmax(axis=1) == by_file.argmax(axis=1)) | _ties(by_keras)

    top_k = final.spec.evaluate.top_k
    own, keras_own = (classification_metrics(p, labels, final.classes, top_k) for p in (by_file, by_keras))
    return {
        "file": file.name,
        "data_type": file.data_type,
        "form": file.form,
        "images": len(labels),
        "split": split,
        "model_sha256": final.card["sha256"],
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


def meets_limits(parity: Mapping[str, Any], spec: Spec) -> bool:
    """Whether the figures of a file meet `export.parity`."""
    agreement, difference = spec.export.parity.limits(parity["data_type"])
    return bool(parity["top_1_agreement"] >= agreement and parity["max_difference"] <= difference)


def require_agreement(parity: Mapping[str, Any], spec: Spec) -> None:
    """Raise ModelError if the file does not meet `export.parity`."""
    if meets_limits(parity, spec):
        return
    agreement, difference = spec.export.parity.limits(parity["data_type"])
    raise ModelError(
        f"{parity['file']} answers differently from Keras: same top-1 on {parity['top_1_agreement']:.1%} of "
        f"{parity['images']} images (at least {agreement:.1%}), largest difference of a probability "
        f"{parity['max_difference']:.2e} (at most {difference:g})",
        _remedy(parity["data_type"]),
    )


def _remedy(data_type: str) -> str:
    return {
        "fp32": "try the other export.converter (direct or tf2onnx); keep the .tlt file, which shows a bug in secateur",
        "fp16": "export fp32, or allow more with export.parity",
        "int8": "set export.int8_max_drop: 0.01, retrain with qat: True, or allow more with export.parity",
    }[data_type]
