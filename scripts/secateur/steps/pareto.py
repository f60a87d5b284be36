"""The pareto step: it writes the cost and the accuracy of each point of a sweep as a table and a figure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pandas as pd

from secateur.evaluation.accuracy import standard_error
from secateur.evaluation.pareto_front import BUSY_COLUMN, COSTS, UNPRUNED, advice, on_front, recommended
from secateur.export.exported_files import exported_files
from secateur.export.timing import measured
from secateur.models.archive import plain_bytes
from secateur.models.provenance import onnx_chain, require_measured_on
from secateur.run import Run, run_from
from secateur.spec import Spec
from secateur.step_table import COMMON_STEPS
from secateur.steps.run_files import read_exported, read_run_json
from secateur.storage.csv import write_csv

MEASURED_TOGETHER = 8  # sessions of ONNX Runtime that are open at the same time, without the reference


@dataclass(frozen=True)
class Measured:
    """One network of a sweep: the exported network of a point, or an unpruned network."""

    name: str
    values: Mapping[str, Any]
    metrics: Mapping[str, Any]
    onnx: bytes


def pareto_step(
    name: str, points: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]], folder: Path, stream: IO[str]
) -> pd.DataFrame:
    """Write `pareto.csv`, `pareto.svg` and `pareto.png`.

    Args:
        name: of the sweep.
        points: `points` (name, values) and `max_accuracy_drop`.
        runs: name of a point -> plain data of its run.
        folder: for the files.
        stream: receives the recommendation.

    Returns:
        The table.
    """
    from secateur.report.pareto_figure import draw  # noqa: PLC0415 - `pick` reads the table without a plotting library

    made = {point: run_from(point, described) for point, described in runs.items()}
    networks = _unpruned(made)
    for point in points["points"]:
        run = made[point["name"]]
        onnx = read_exported(run, exported_files(run.spec)[0])
        metrics = _metrics(run, run.final_step, _exported_from(run, onnx))
        networks.append(Measured(point["name"], point["values"], metrics, onnx))
    spec = next(iter(made.values())).spec
    table = _table(networks, spec, points["max_accuracy_drop"])
    write_csv(folder / COMMON_STEPS["pareto"].files["table"], table)
    draw(table, folder, name, points["max_accuracy_drop"])
    print(f"sweep  {name}\n{advice(table, points['max_accuracy_drop'])}", file=stream, flush=True)
    return table


def _unpruned(runs: Mapping[str, Run]) -> list[Measured]:
    """The unpruned network of each first training of the points, converted to ONNX."""
    from secateur.keras_to_onnx.writer import to_onnx  # noqa: PLC0415
    from secateur.models.file import load_model  # noqa: PLC0415

    found: dict[Path, Measured] = {}
    for run in runs.values():
        path = run.model("train")
        if run.spec.prunes and path not in found:
            name = UNPRUNED if not found else f"{UNPRUNED}-{len(found) + 1}"
            model, card = load_model(path, run.key)
            onnx = to_onnx(model, run.spec.export.layout, run.spec.export.target_opset).SerializeToString()
            found[path] = Measured(name, {}, _metrics(run, "train", card["sha256"]), onnx)
    return list(found.values())


def _metrics(run: Run, stage: str, sha256: str) -> dict[str, Any]:
    """The metrics of the model with this digest. Raises ModelError for metrics of another model."""
    path = run.file("evaluate", "metrics", stage)
    metrics = read_run_json(run, "evaluate", "metrics", stage)
    require_measured_on(metrics, sha256, path)
    return metrics


def _exported_from(run: Run, onnx: bytes) -> str:
    """The digest of the model that an exported file was made from; of the run's model if the file does not say it."""
    chain = onnx_chain(onnx)
    if chain:
        return str(chain[-1].get("parent_sha256"))
    return hashlib.sha256(plain_bytes(run.model_to_export, run.key)).hexdigest()


def _table(networks: list[Measured], spec: Spec, max_drop: float) -> pd.DataFrame:
    timed = _timed(networks, spec)
    keys = list(dict.fromkeys(key for network in networks for key in network.values))
    rows = [
        {
            "name": network.name,
            **{key: _cell(network.values.get(key)) for key in keys},
            "top_1": network.metrics["top_1"],
            "standard_error": standard_error(network.metrics["top_1"], network.metrics["images"]),
            "macs": network.metrics["macs"],
            "params": network.metrics["params"],
            "onnx_bytes": len(network.onnx),
            **times,
        }
        for network, times in zip(networks, timed, strict=True)
    ]
    table = pd.DataFrame(rows)
    table.insert(len(keys) + 3, "accuracy_drop", _reference(table) - table["top_1"])
    for cost in COSTS:
        table[f"front_{cost}"] = on_front(table, cost)
    best = recommended(table, max_drop)
    table["recommended"] = [index == best for index in table.index]
    return table


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def _reference(table: pd.DataFrame) -> float:
    """The accuracy to compare the points with: that of the best unpruned network; without pruning, the best of all."""
    unpruned = table[table["name"].str.startswith(UNPRUNED)]
    return float((unpruned if len(unpruned) else table)["top_1"].max())


def _timed(networks: list[Measured], spec: Spec) -> list[dict[str, Any]]:
    """The milliseconds of each network, their ratio to the first network, measured in turn with it, and the load."""
    threads, batch = (spec.prune.latency_threads, spec.prune.latency_batch) if spec.prune else (1, 1)
    times = []
    for start in range(0, len(networks), MEASURED_TOGETHER):
        chunk = [networks[0], *networks[start : start + MEASURED_TOGETHER]]
        found = measured([network.onnx for network in chunk], threads, batch)
        times += [
            {"latency_ms": timing.p10, "latency_ratio": ratio, BUSY_COLUMN: found.load.busy}
            for timing, ratio in list(zip(found.timings, found.ratios, strict=True))[1:]
        ]
    return times
