"""The pareto step: it writes the cost and the accuracy of each point of a sweep as a table and a figure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pandas as pd

from secateur.evaluation.accuracy import standard_error
from secateur.evaluation.pareto_front import COSTS, UNPRUNED, advice, on_front, recommended
from secateur.export.exported_files import export_name
from secateur.export.timing import latencies_ms
from secateur.models.provenance import onnx_chain, require_measured_on
from secateur.run import Run, run_from
from secateur.spec import Spec
from secateur.step_table import COMMON_STEPS
from secateur.storage.atomic import read_json
from secateur.storage.csv import write_csv
from secateur.vault import files as vault_files

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
        onnx = _exported(run)
        parent = onnx_chain(onnx)[-1]["parent_sha256"]
        networks.append(Measured(point["name"], point["values"], _metrics(run, run.final_step, parent), onnx))
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
    metrics = dict(read_json(path))
    require_measured_on(metrics, sha256, path)
    return metrics


def _exported(run: Run) -> bytes:
    path = run.export_file(export_name(run.spec))
    return path.read_bytes() if path.suffix == ".onnx" else vault_files.read_content(path, run.key)


def _table(networks: list[Measured], spec: Spec, max_drop: float) -> pd.DataFrame:
    latencies, ratios = _latencies(networks, spec)
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
            "latency_ms": latency,
            "latency_ratio": ratio,
        }
        for network, latency, ratio in zip(networks, latencies, ratios, strict=True)
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


def _latencies(networks: list[Measured], spec: Spec) -> tuple[list[float], list[float]]:
    """The milliseconds of each network, and their ratio to the first network, measured in turn with it."""
    threads, batch = (spec.prune.latency_threads, spec.prune.latency_batch) if spec.prune else (1, 1)
    times, ratios = [], []
    for start in range(0, len(networks), MEASURED_TOGETHER):
        chunk = [networks[0], *networks[start : start + MEASURED_TOGETHER]]
        first, *others = latencies_ms([network.onnx for network in chunk], threads, batch)
        times += others
        ratios += [other / first for other in others]
    return times, ratios
