"""The first lines of a report: the result, in sentences and in one table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from secateur.evaluation.latency_figures import figure_ms, is_busy, remark
from secateur.report.facts import Facts, Stage
from secateur.report.words import decimal_bytes, points

# Differences of more than this many standard errors are not explained by chance.
SURE = 2.0


def sentences(facts: Facts) -> list[str]:
    """The result in words."""
    final, spec = facts.final, facts.spec
    error = final.standard_error
    said = [
        f"The {'pruned' if spec.prunes else 'trained'} {spec.model.arch} classifies {final.metrics['top_1']:.1%} of "
        f"{final.metrics['images']:,} {final.metrics['split']} images correctly (± {100 * error:.1f} points, one "
        f"standard error), with {len(facts.classes)} classes."
    ]
    if facts.pruning is not None:
        said.append(_pruned(facts))
    said.append(_shipped(facts))
    return said


def _pruned(facts: Facts) -> str:
    pruning = facts.pruning or {}
    said = (
        f"Pruning removed {pruning['macs_removed_ratio']:.0%} of the multiply-accumulates and "
        f"{pruning['params_removed_ratio']:.0%} of the parameters."
    )
    if facts.unpruned is None:
        return f"{said} The network before pruning was not evaluated."
    before, after = facts.unpruned.metrics["top_1"], facts.final.metrics["top_1"]
    judged = _judged(*paired_difference(facts.unpruned, facts.final))
    change = f"{points(after - before)}, {judged}"
    return f"{said} Accuracy before pruning {before:.3f}, after retraining {after:.3f}: {change}."


def _judged(difference: float, error: float) -> str:
    if difference == 0:
        return "no difference"
    return "more than chance explains" if abs(difference) > SURE * error else "which can be chance"


def paired_difference(first: Stage, last: Stage) -> tuple[float, float]:
    """The difference in top-1 between two models on the same images, and its standard error.

    Only images that one of the two classifies correctly count, as in McNemar's test (Psychometrika 12, 1947).
    """
    mine, other = (stage.predictions["correct"].to_numpy(bool) for stage in (last, first))
    if len(mine) != len(other) or not len(mine):
        return last.metrics["top_1"] - first.metrics["top_1"], math.hypot(first.standard_error, last.standard_error)
    won, lost, count = int(np.sum(mine & ~other)), int(np.sum(other & ~mine)), len(mine)
    return (won - lost) / count, math.sqrt(won + lost - (won - lost) ** 2 / count) / count


def _shipped(facts: Facts) -> str:
    file = facts.exported[0]
    timed = facts.latency_of("exported")
    speed = ""
    if timed:
        first = facts.latency["cases"][0]["network"]
        ratio = f", {timed['ratio']:.2f} times the time of the {first} network" if facts.spec.prunes else ""
        speed = f" One image takes {figure_ms(timed):.3g} ms on one thread of this machine's CPU{ratio}{remark(timed)}."
    of = file.get("external_model")
    made = f" is made of the model file {of}, not of this run. It" if of else ""
    return (
        f"The exported {file['file']} ({file['data_type']}){made} has {decimal_bytes(file['bytes'])} and gives the "
        f"same answer as Keras on {file['top_1_agreement']:.1%} of the images.{speed}"
    )


def table(facts: Facts) -> list[dict[str, Any]]:
    """One row per network: name, top-1, its standard error, MACs, parameters, bytes, milliseconds; None if unknown; and
    whether the machine was busy then."""
    times = {"train": "unpruned" if facts.spec.prunes else "trained", "retrain": "pruned"}
    rows = [
        {
            "name": stage.title,
            "top_1": stage.metrics["top_1"],
            "error": stage.standard_error,
            "macs": stage.metrics["macs"],
            "params": stage.metrics["params"],
            "bytes": stage.model_bytes,
            **_time(facts, times.get(stage.name, "-")),
        }
        for stage in facts.stages
    ]
    for number, file in enumerate(facts.exported):
        rows.append(
            {
                "name": f"{file['file']}, {file['data_type']}",
                "top_1": file["accuracy"]["top_1"],
                "error": facts.final.standard_error,
                "macs": file["macs"],
                "params": file["params"],
                "bytes": file["bytes"],
                **_time(facts, "exported" if number == 0 else "-"),
            }
        )
    return rows


def _time(facts: Facts, network: str) -> dict[str, Any]:
    timed = facts.latency_of(network)
    return {"ms": figure_ms(timed) if timed else None, "busy": bool(timed and is_busy(timed))}


def calibration(confidence: np.ndarray, correct: np.ndarray, error: float) -> str:
    """A sentence about the reliability of the confidence.

    Args:
        confidence: of the answers, 0..1.
        correct: whether each answer is right.
        error: the expected calibration error.
    """
    sure, right = float(confidence.mean()), float(correct.mean())
    leaning = "overconfident" if sure > right else "underconfident"
    return (
        f"The mean confidence is {sure:.3f}, the accuracy {right:.3f}: the network is {leaning}. Over all levels of "
        f"confidence they differ by {error:.3f} on average (expected calibration error; 0 is perfect)."
    )
