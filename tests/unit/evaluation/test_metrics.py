"""Figures by hand."""

import numpy as np
import pytest
from secateur.evaluation.metrics import calibration_bins, calibration_error, classification_metrics, confusion, doubts

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.1, 0.3, 0.6], [0.2, 0.3, 0.5]], np.float32)
LABELS = np.array([0, 1, 2, 0])
CLASSES = ["a", "b", "c"]


def test_metrics_by_hand():
    metrics = classification_metrics(PROBABILITIES, LABELS, CLASSES, top_k=2)
    assert metrics["top_1"] == 0.5
    assert metrics["top_k"] == 0.75
    assert metrics["loss"] == pytest.approx(-np.log([0.7, 0.4, 0.6, 0.2]).mean(), rel=1e-5)
    assert metrics["per_class"]["a"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert metrics["per_class"]["b"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert metrics["per_class"]["c"]["precision"] == 0.5


def test_figures_that_say_little_are_named():
    few = classification_metrics(PROBABILITIES, LABELS, CLASSES, top_k=2)
    assert doubts(few) == [
        "top-1 0.5000 is no better than the answer 'a' for every image: 0.5000",
        "4 images say only that top-1 lies between 0.15 and 0.85 (95 %)",
    ]
    many = classification_metrics(np.repeat(np.eye(3, dtype=np.float32), 50, 0), np.repeat([0, 1, 2], 50), CLASSES, 1)
    assert doubts(many) == []


def test_top_k_is_at_most_all_classes():
    metrics = classification_metrics(PROBABILITIES, LABELS, CLASSES, top_k=50)
    assert (metrics["k"], metrics["top_k"]) == (3, 1.0)


def test_confusion_has_true_classes_in_rows():
    assert confusion(PROBABILITIES, LABELS, 3).tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 1]]


def test_a_certain_mistake_has_a_finite_loss():
    metrics = classification_metrics(np.array([[0, 1]], np.float32), np.array([0]), ["a", "b"], 1)
    assert np.isfinite(metrics["loss"])


def test_calibration_error_is_the_mean_gap_weighted_by_images():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.61], np.float32)
    correct = np.array([True, True, True, False, False])
    assert calibration_error(confidence, correct) == pytest.approx((4 * 0.2 + 1 * 0.61) / 5)
    assert calibration_error(np.ones(3, np.float32), np.ones(3, bool)) == 0
    assert sum(count for count, _, _ in calibration_bins(np.array([0, 0.5, 1], np.float32), np.ones(3, bool))) == 3
