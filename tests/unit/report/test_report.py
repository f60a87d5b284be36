import math
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from jinja2 import UndefinedError
from secateur.report.facts import Stage
from secateur.report.figures import Plot, curves, pareto
from secateur.report.page import render
from secateur.report.pictures import MISTAKES, MOST_MISTAKES, shown, worst_mistakes
from secateur.report.verdict import calibration, paired_difference
from secateur.report.words import decimal_bytes, points, short
from secateur.steps.report import answered, confused_pairs


def stage(correct):
    table = pd.DataFrame({"correct": correct})
    return Stage("train", {"top_1": float(np.mean(correct)), "images": len(correct)}, table, np.eye(2), 0)


def test_a_difference_counts_only_images_that_one_of_the_two_has_right():
    first, last = stage([True] * 50 + [False] * 50), stage([True] * 40 + [False] * 10 + [True] * 20 + [False] * 30)
    difference, error = paired_difference(first, last)
    assert difference == pytest.approx(0.1)
    assert error == pytest.approx(math.sqrt(30 - 100 / 100) / 100)
    assert paired_difference(first, first) == (0, 0)


def test_answers_above_each_confidence():
    shares, accuracies = answered(np.array([0.2, 0.4, 0.6, 0.9]), np.array([False, False, True, True]))
    assert (shares[0], accuracies[0]) == (1, 0.5)
    assert (shares[50], accuracies[50]) == (0.5, 1)
    assert (shares[40], accuracies[40]) == (0.75, pytest.approx(2 / 3))
    assert (shares[100], accuracies[100]) == (0, 1)


def test_pairs_that_are_confused_most_come_first():
    confusion = np.array([[5, 3, 0], [1, 9, 0], [0, 4, 4]])
    assert confused_pairs(confusion, ["a", "b", "c"]) == [("c", "b", 4, 0.5), ("a", "b", 3, 0.375), ("b", "a", 1, 0.1)]


def test_the_worst_mistakes_are_the_surest_ones_and_some_of_every_class():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"class": ["many"] * 400 + ["rare"] * 3, "confidence": [*rng.uniform(0.5, 1, 400), 0.1, 0.2, 0.3]}
    )
    table["correct"] = [False] * 399 + [True] + [False] * 3
    worst = worst_mistakes(table)
    assert worst["confidence"].is_monotonic_decreasing
    assert worst.head(MISTAKES)["confidence"].min() >= table[:399]["confidence"].nlargest(MISTAKES).min()
    assert worst[worst["class"].eq("rare")]["confidence"].tolist() == [0.3, 0.2]
    assert (
        len(worst_mistakes(pd.concat([table.assign(**{"class": str(n)}) for n in range(60)]).reset_index()))
        == MOST_MISTAKES
    )


def test_curves_join_both_trainings_and_every_point_tells_its_value():
    train = pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0], "val_loss": ["", 1.5], "accuracy": [0.1, 0.5],
                          "val_accuracy": ["", 0.4], "lr": [0.1, 0.01]})  # fmt: skip
    figures = curves({"train": train, "retrain": train}, {"train": 2, "retrain": 2})
    assert len(figures) == 3
    for figure in figures:
        root = ElementTree.fromstring(figure)
        assert root.get("role") == "img"
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        assert len(set(ids)) == len(ids)
        assert "var(--ink)" in figure
        assert "#01010" not in figure
    titles = [title.text for title in ElementTree.fromstring(figures[0]).iter("{http://www.w3.org/2000/svg}title")]
    assert "retrain, epoch 2: validation 1.5" in titles
    assert len(titles) == 6, "an epoch without validation has no point for it"


def test_the_ids_of_two_figures_on_a_page_differ():
    ids = []
    for title in ("one", "two"):
        plot = Plot(title)
        plot.points([1, 2], [1, 2], ["a", "<b>"])
        text = plot.svg()
        assert "&lt;b&gt;" in text
        ids += [element.get("id") for element in ElementTree.fromstring(text).iter() if element.get("id")]
    assert ids
    assert len(set(ids)) == len(ids)


def test_pareto_names_every_network():
    table = pd.DataFrame({"name": ["a & b", "c"], "top_1": [0.9, 0.8], "standard_error": 0.01, "macs": [2e6, 3e6]})
    table["front"] = [True, False]
    text = pareto(table, "macs", "multiply-accumulates")
    assert "a &amp; b: top-1 0.9000" in text
    assert "2 networks, 1 of them on the Pareto front" in text


def test_sixteen_bit_pixels_are_shown_in_eight():
    picture = shown(np.full((4, 4, 1), 65535, np.float32), 8)
    assert picture.shape == (8, 8, 3)
    assert picture.min() == 255
    assert shown(np.zeros((300, 200, 3), np.uint8), 112).shape == (112, 112, 3)


def test_text_is_escaped_and_a_missing_value_is_an_error(tmp_path):
    row = {"name": "</script><b>x", "arch": "resnet_10", "top_1": 0.5, "standard_error": 0.1, "unpruned": None,
           "macs": 5, "params": 5, "data_type": "fp32", "onnx_bytes": 10, "latency_ms": 1.0,
           "latency_ratio": 1.0, "latency_busy": False}  # fmt: skip
    specs = {"</script><b>x": {"a": "</script>"}, "y": {}}
    text = render("index.html", experiments=[row], sweeps=[], pareto=[], specs=specs)
    assert "<b>x" not in text
    assert text.count("</script>") == 2
    with pytest.raises(UndefinedError):
        render("index.html", experiments=[{}], sweeps=[], pareto=[], specs={})


def test_numbers_in_words():
    assert [decimal_bytes(count) for count in (999, 1500, 9_400_000, 2.5e9)] == [
        "999 bytes",
        "1.5 kB",
        "9.4 MB",
        "2.5 GB",
    ]
    assert [short(count) for count in (5, 999, 27_800_000, 4.1e9)] == ["5", "999", "27.8 M", "4.1 G"]
    assert (points(0.005), points(-0.02)) == ("+0.5 points", "-2.0 points")
    assert "overconfident" in calibration(np.array([0.9, 0.9]), np.array([True, False]), 0.4)
