"""The index step: it writes the page over all experiments and sweeps of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import pandas as pd

from secateur.evaluation.accuracy import standard_error
from secateur.evaluation.latency_figures import figure_ms, is_busy
from secateur.evaluation.pareto_front import BUSY_COLUMN, COSTS, on_front, read_pareto
from secateur.export.exported_files import exported_files
from secateur.report import figures
from secateur.report.facts import is_single
from secateur.report.page import render
from secateur.report.words import counted
from secateur.run import Run, run_from
from secateur.spec.effective import flattened
from secateur.step_table import COMMON_STEPS
from secateur.steps.run_files import bytes_of, damaged, read_parity, read_run_json
from secateur.storage.atomic import write_text

# Costs in the figures. File size and latency depend on the precision, so they are in the table only.
DRAWN = ("macs", "onnx_bytes")


def index_step(index: Mapping[str, Any], folder: Path, stream: IO[str]) -> str:
    """Write `index.html`.

    Args:
        index: `runs`: experiment -> plain data of its run; `sweeps`: names of sweeps.
        folder: the root of the results.
        stream: for messages.

    Raises:
        ArtifactError: a file of an experiment or sweep is missing.
    """
    runs = {name: run_from(name, listed) for name, listed in index["runs"].items()}
    experiments = [experiment(name, run) for name, run in runs.items()]
    sweeps = [sweep(name, folder / "sweeps" / name) for name in index["sweeps"]]
    networks = pd.concat([pd.DataFrame(experiments), *(one["table"] for one in sweeps)], ignore_index=True)
    text = render(
        "index.html",
        experiments=experiments,
        sweeps=sweeps,
        pareto=[_pareto(networks, cost) for cost in DRAWN] if len(networks) > 1 else [],
        specs={name: flattened(run.spec) for name, run in runs.items()},
    )
    page = folder / COMMON_STEPS["index"].files["page"]
    write_text(page, text)
    print(
        f"index  {page}  {counted(len(experiments), 'experiment')}, {counted(len(sweeps), 'sweep')}",
        file=stream,
        flush=True,
    )
    return text


def experiment(name: str, run: Run) -> dict[str, Any]:
    """One row of the table: the figures of the exported model, the final one or another run's, and of its file."""
    file = exported_files(run.spec)[0]
    unpruned = read_run_json(run, "evaluate", "metrics", "train")["top_1"] if run.spec.prunes else None
    if run.exports_own_model:
        metrics = read_run_json(run, "evaluate", "metrics", run.final_step)
    else:
        parity = read_parity(run, file)
        metrics, unpruned = {**parity, **parity["keras"]}, None
    cases = read_run_json(run, "latency", "latency")["cases"]
    timed = next((case for case in cases if is_single(case) and case["network"].startswith("exported")), None)
    if timed is None:
        raise damaged(run.file("latency", "latency"), "latency", "the exported network is not in it")
    return {
        "name": name,
        "arch": run.spec.model.arch,
        "top_1": metrics["top_1"],
        "standard_error": standard_error(metrics["top_1"], metrics["images"]),
        "unpruned": unpruned,
        "images": metrics["images"],
        "macs": metrics["macs"],
        "params": metrics["params"],
        "data_type": file.data_type,
        "onnx_bytes": bytes_of(run, file),
        "latency_ms": figure_ms(timed),
        "latency_ratio": timed["ratio"],
        BUSY_COLUMN: is_busy(timed),
    }


def sweep(name: str, folder: Path) -> dict[str, Any]:
    """The table of a sweep, and its recommended point."""
    table = read_pareto(folder / COMMON_STEPS["pareto"].files["table"])
    chosen = table[table["recommended"]]
    values = list(table.columns[1 : table.columns.get_loc("top_1")])
    shown = table.assign(name=[f"{name}: {point}" for point in table["name"]])
    return {
        "name": name,
        "table": shown,
        "keys": values,
        "rows": table.to_dict("records"),
        "recommended": None if chosen.empty else str(chosen["name"].iloc[0]),
    }


def _pareto(networks: pd.DataFrame, cost: str) -> str:
    return figures.pareto(networks.assign(front=on_front(networks, cost)), cost, COSTS[cost])
