"""The report step: it shows all results of a run on one page, which is one file."""

from __future__ import annotations

from typing import IO, Any

import keras
import numpy as np

from secateur.data.pipeline import ImageReader
from secateur.errors import ModelError
from secateur.evaluation.latency_figures import caution
from secateur.evaluation.metrics import calibration_bins
from secateur.evaluation.saliency import GradCam
from secateur.export.exported_files import exported_files
from secateur.models.file import load_model
from secateur.report import figures, verdict
from secateur.report.facts import Facts
from secateur.report.page import render
from secateur.report.pictures import augmented, gallery, samples
from secateur.report.words import decimal_bytes
from secateur.run import Run
from secateur.spec.effective import effective
from secateur.steps.context import step_context
from secateur.steps.run_facts import read_facts
from secateur.storage.atomic import write_text

THRESHOLDS = 101  # confidence limits on the page, 0 to 1 in hundredths
MOST_IN_MATRIX = 60  # number of classes; with more, only the pairs that are confused most are shown
MOST_PAIRS = 40


def report(run: Run, stream: IO[str]) -> str:
    """Write `report.html`.

    Raises:
        SecateurError: a file of the run is missing or cannot be used.
    """
    with step_context(run, "report", lock="report"):
        facts = read_facts(run)
        model, card = load_model(run.model(run.final_step), run.key)
        text = render("report.html", **_content(run, facts, model, card.get("provenance", [])))
        write_text(run.file("report", "page"), text)
    print(f"report  {run.file('report', 'page')}  {decimal_bytes(len(text.encode()))}", file=stream, flush=True)
    return text


def _content(run: Run, facts: Facts, model: keras.Model, chain: list[dict[str, Any]]) -> dict[str, Any]:
    final = facts.final
    reader = ImageReader(run.spec.data, run.spec.augment, run.spec.model, run.spec.evaluate.n_workers)
    best = {step: metrics["best_epoch"] for step, metrics in facts.trainings.items()}
    confidence, correct = (final.predictions[name].to_numpy() for name in ("confidence", "correct"))
    shares, accuracies = answered(confidence, correct)
    saliency = _saliency(model)
    return {
        "facts": facts,
        "run": run,
        "final": final,
        "caution": caution(facts.latency["cases"]),
        "sentences": verdict.sentences(facts),
        "networks": verdict.table(facts),
        "samples": samples(facts.manifest, facts.classes, run.spec.data),
        "augmented": augmented(run.spec, reader, facts.manifest),
        "curves": figures.curves(facts.histories, best),
        "matrix": len(facts.classes) <= MOST_IN_MATRIX,
        "pairs": confused_pairs(final.confusion, facts.classes),
        "calibration": verdict.calibration(confidence, correct, final.metrics["calibration_error"]),
        "reliability": figures.reliability(calibration_bins(confidence, correct)),
        "thresholds": figures.thresholds(shares, accuracies),
        "answered": {"shares": shares.round(4).tolist(), "accuracies": accuracies.round(4).tolist()},
        "mistakes": gallery(reader, final.predictions, facts.classes, saliency),
        "wrong": int((~correct.astype(bool)).sum()),
        "saliency": saliency.layer if saliency else None,
        "chain": chain,
        "spec_text": effective(run.spec),
        "file": exported_files(run.spec)[0],
        "key_words": _key_words(run),
    }


def _key_words(run: Run) -> str:
    """The place of the key, for a command. A literal key in the spec is not shown. Empty for plain files."""
    if run.spec.plain_files:
        return ""
    text = run.spec.key.get_secret_value() if run.spec.key else ""
    return text if text.startswith(("env:", "file:")) else "env:SECATEUR_KEY"


def _saliency(model: keras.Model) -> GradCam | None:
    """The Grad-CAM of a model; None for a network without a suitable layer, whose pictures have no heat map."""
    try:
        return GradCam(model)
    except ModelError:
        return None


def answered(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each confidence limit from 0 to 1: the share of images at or above it, and their accuracy.

    If no image reaches the limit the accuracy is 1, since no answer is wrong.

    Args:
        confidence: of each answer, 0..1.
        correct: whether each answer is right.
    """
    at = np.linspace(0, 1, THRESHOLDS)
    order = np.argsort(confidence, kind="stable")
    first = np.searchsorted(confidence[order], at)
    right = np.concatenate([[0], np.cumsum(correct[order].astype(int))])
    count = len(confidence) - first
    return count / max(len(confidence), 1), np.where(count, (right[-1] - right[first]) / np.maximum(count, 1), 1.0)


def confused_pairs(confusion: np.ndarray, classes: list[str]) -> list[tuple[str, str, int, float]]:
    """The pairs of classes that are confused most: true class, predicted class, images, share of the true class."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    rows, columns = np.nonzero(wrong)
    order = np.argsort(-wrong[rows, columns], kind="stable")[:MOST_PAIRS]
    totals = confusion.sum(axis=1)
    return [
        (classes[i], classes[j], int(wrong[i, j]), float(wrong[i, j] / totals[i]))
        for i, j in zip(rows[order], columns[order], strict=True)
    ]
