"""The evaluate step: it makes one pass over the test images and computes all figures from it.

See docs/decisions/evaluation.md.
"""

from __future__ import annotations

from typing import IO, Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secateur.data.classes import labels_of
from secateur.data.manifest import measured_rows
from secateur.data.pipeline import ImageBatches, ImageReader
from secateur.evaluation.metrics import classification_metrics, confusion, doubts
from secateur.models.cost import cost_of
from secateur.quantization.aware import as_deployed
from secateur.run import Run
from secateur.runtime.terminal import one_line
from secateur.step_table import STEPS
from secateur.steps.context import step_context
from secateur.steps.fitted_model import fitted_model
from secateur.steps.model_card import FROM_CARD
from secateur.steps.run_images import images_of
from secateur.steps.run_manifest import manifest_of
from secateur.storage.atomic import write_json
from secateur.storage.csv import write_csv


def evaluate(run: Run, stream: IO[str], stage: str) -> dict[str, Any]:
    """Write `metrics.json`, `predictions.csv` and `confusion.csv` below `evaluate/<stage>/`.

    The test split is used. Without test images the validation split is used, and the metrics name it.

    Args:
        run: the run.
        stream: for messages.
        stage: `train` or `retrain` for this run's models, `external` for another model.

    Raises:
        SecateurError: a file cannot be read or written, or the model does not fit the classes.
    """
    model_path = run.evaluated_model(stage)
    with step_context(run, "evaluate", stage=stage) as status:
        fitted = fitted_model(run, model_path, "evaluate", stream)
        model, card, classes = fitted.model, fitted.card, fitted.classes
        rows, split = measured_rows(manifest_of(run))
        probabilities, labels = predict_rows(fitted.run, as_deployed(model, card, model_path), rows, classes)
        metrics = {
            "model": str(model_path),
            "model_sha256": card["sha256"],
            FROM_CARD: fitted.from_card,
            "split": split,
            **classification_metrics(probabilities, labels, classes, run.spec.evaluate.top_k),
            "params": cost_of(model).params,
            "macs": cost_of(model).macs,
        }
        write_csv(
            run.results / STEPS["evaluate"].path("predictions").format(stage=stage),
            _predictions(rows, probabilities, labels, classes),
        )
        write_csv(
            run.results / STEPS["evaluate"].path("confusion").format(stage=stage),
            _confusion_table(probabilities, labels, classes),
        )
        write_json(run.results / STEPS["evaluate"].path("metrics").format(stage=stage), metrics)
        status.write("RUNNING", f"{stage} model", kpi={"loss": metrics["loss"], "top_k": metrics["top_k"]})
    more = f"top-{metrics['k']} {metrics['top_k']:.4f}  " if metrics["k"] > 1 else ""
    print(
        f"evaluate  {stage}  {metrics['images']} {split} images  top-1 {metrics['top_1']:.4f}  "
        f"{more}loss {metrics['loss']:.4f}",
        *(one_line(f"evaluate  {stage}  warning: {words}") for words in doubts(metrics)),
        sep="\n",
        file=stream,
        flush=True,
    )
    return metrics


def predict_rows(
    run: Run, model: keras.Model, rows: pd.DataFrame, classes: list[str]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The probabilities, float32 [images, classes], and class indices, int64 [images], in the order of `rows`."""
    section = run.spec.evaluate
    labels = labels_of(rows["class"], classes)
    reader = ImageReader(run.spec.data, run.spec.augment, run.spec.model, section.n_workers)
    batches = ImageBatches(reader, images_of(run, reader, rows), labels, len(classes), section.batch_size)
    return np.asarray(model.predict(batches, verbose=0)), np.array(labels, dtype=np.int64)


def _predictions(
    rows: pd.DataFrame, probabilities: NDArray[np.float32], labels: NDArray[np.int64], classes: list[str]
) -> pd.DataFrame:
    predicted = probabilities.argmax(axis=1)
    return pd.DataFrame(
        {
            "path": rows["path"],
            "class": rows["class"],
            "predicted": [classes[index] for index in predicted],
            "confidence": probabilities.max(axis=1),
            "class_probability": probabilities[np.arange(len(labels)), labels],
            "correct": [classes[index] == name for index, name in zip(predicted, rows["class"], strict=True)],
        }
    )


def _confusion_table(probabilities: NDArray[np.float32], labels: NDArray[np.int64], classes: list[str]) -> pd.DataFrame:
    """Write the confusion matrix: rows are true classes, columns are predicted classes."""
    table = pd.DataFrame(confusion(probabilities, labels, len(classes)), columns=classes)
    table.insert(0, "true \\ predicted", classes, allow_duplicates=True)
    return table
