"""Figures of a classifier from its probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

CALIBRATION_BINS = 15  # as in the paper that introduced the measure
WIDE_INTERVAL = 0.2  # of top-1, as 96 images have it at most: few networks differ by more
SMALLEST_PROBABILITY = 1e-7  # keeps the logarithm finite for a confident wrong answer, as in Keras


def classification_metrics(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], classes: list[str], top_k: int
) -> dict[str, Any]:
    """Accuracy, loss and per-class figures.

    Args:
        probabilities: float32 [images, classes].
        labels: class indices, int [images].
        classes: names in index order.
        top_k: number of most likely classes that count; at most the number of classes.

    Returns:
        `images`, `loss` (cross-entropy without smoothing or penalties), `top_1`, `top_k`, `k`, `calibration_error`, and
        `per_class` with precision, recall, F1 and support.
    """
    # Imported here: the import takes a second, and not every step that imports this module needs it.
    from sklearn.metrics import precision_recall_fscore_support  # noqa: PLC0415

    predicted = probabilities.argmax(axis=1)
    k = min(top_k, len(classes))
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    own = probabilities[np.arange(len(labels)), labels]
    indices = list(range(len(classes)))
    figures = precision_recall_fscore_support(labels, predicted, labels=indices, zero_division=0)
    precision, recall, f1, support = (np.asarray(figure) for figure in figures)
    return {
        "images": len(labels),
        "loss": float(-np.log(np.maximum(own, SMALLEST_PROBABILITY)).mean()),
        "top_1": float((predicted == labels).mean()),
        "top_k": float((best == labels[:, np.newaxis]).any(axis=1).mean()),
        "k": k,
        "calibration_error": calibration_error(probabilities.max(axis=1), predicted == labels),
        "per_class": {
            name: {
                "precision": float(precision[index]),
                "recall": float(recall[index]),
                "f1": float(f1[index]),
                "support": int(support[index]),
            }
            for index, name in enumerate(classes)
        },
    }


def doubts(metrics: Mapping[str, Any]) -> list[str]:
    """Why the figures of `classification_metrics` say little about the network, in words; none for most networks.

    The network is no better than one answer for every image, or the interval of its top-1 accuracy (Wilson's, 95 %) is
    wide, since the images are few.
    """
    from scipy.stats import binomtest  # noqa: PLC0415

    images, top_1 = metrics["images"], metrics["top_1"]
    largest = max(metrics["per_class"], key=lambda name: metrics["per_class"][name]["support"])
    share = metrics["per_class"][largest]["support"] / images
    found = []
    if top_1 <= share and len(metrics["per_class"]) > 1:
        found.append(f"top-1 {top_1:.4f} is no better than the answer '{largest}' for every image: {share:.4f}")
    interval = binomtest(round(top_1 * images), images).proportion_ci(method="wilson")
    if interval.high - interval.low > WIDE_INTERVAL:
        bounds = f"{interval.low:.2f} and {interval.high:.2f}"
        found.append(f"{images} images say only that top-1 lies between {bounds} (95 %)")
    return found


def confusion(probabilities: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """The confusion matrix: counts, int [true class, predicted class]."""
    from sklearn.metrics import confusion_matrix  # noqa: PLC0415

    return np.asarray(confusion_matrix(labels, probabilities.argmax(axis=1), labels=list(range(classes))))


def calibration_error(confidence: NDArray[np.float32], correct: NDArray[np.bool_]) -> float:
    """The expected calibration error: the mean difference between confidence and accuracy, 0..1.

    The mean is over bins of equal width, weighted by their images (Guo et al., arXiv:1706.04599).

    Args:
        confidence: of the answers, 0..1, [images].
        correct: whether each answer is right, [images].
    """
    return sum(count * abs(right - mean) for count, mean, right in calibration_bins(confidence, correct)) / max(
        len(confidence), 1
    )


def calibration_bins(
    confidence: NDArray[np.float32], correct: NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> list[tuple[int, float, float]]:
    """For each bin of confidence: the number of images, their mean confidence and their accuracy; 0 for an empty bin.

    The arguments are those of `calibration_error`.
    """
    place = np.minimum((np.asarray(confidence, np.float64) * bins).astype(int), bins - 1)
    count, mean, right = (
        np.bincount(place, weights, bins) for weights in (None, confidence, np.asarray(correct, np.float64))
    )
    full = np.maximum(count, 1)
    return [(int(n), float(c), float(r)) for n, c, r in zip(count, mean / full, right / full, strict=True)]
