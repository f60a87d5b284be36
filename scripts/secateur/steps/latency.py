"""The latency step: it times the unpruned, the final and the exported network in one run of ONNX Runtime."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import IO, Any

import onnxruntime

from secateur.evaluation.latency_figures import figure_ms, remark
from secateur.export.exported_files import exported_files
from secateur.export.timing import Load, Measurement, Timing, measured
from secateur.keras_to_onnx.writer import to_onnx
from secateur.models.file import load_model
from secateur.run import Run
from secateur.steps.context import step_context
from secateur.steps.exported_model import load_final_model
from secateur.steps.run_files import read_exported
from secateur.storage.atomic import write_json

BATCHES = (1, 8)


def measure_latency(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Write `export/latency.json`.

    The networks are called in turn, so that other load on the machine affects all alike. The ratios are comparable
    between machines.

    Raises:
        SecateurError: a model cannot be read, or the file cannot be written.
    """
    with step_context(run, "latency", lock="export-latency"):
        networks = _networks(run, stream)
        cases = [
            case
            for threads in dict.fromkeys((1, os.cpu_count() or 1))
            for batch in BATCHES
            for case in _cases(networks, threads, batch)
        ]
        result = {
            "cpu": platform.processor() or platform.machine(),
            "cpus": os.cpu_count(),
            "onnxruntime": onnxruntime.__version__,
            "provider": "CPUExecutionProvider",
            "cases": cases,
        }
        write_json(run.file("latency", "latency"), result)
    last = cases[len(networks) - 1]
    print(
        f"latency  {last['network']}  {figure_ms(last):.3g} ms on one thread, {last['ratio']:.2f} times that of the "
        f"{cases[0]['network']} network{remark(last)}",
        file=stream,
        flush=True,
    )
    return result


def _networks(run: Run, stream: IO[str]) -> dict[str, bytes]:
    """Name -> serialised ONNX: the unpruned network in fp32, the pruned network in fp32, and the exported file.

    If `export.model_path` names a model of another run, it takes the place of both.
    """
    file = exported_files(run.spec)[0]
    exported = read_exported(run, file)
    _, final, _ = load_final_model(run, "latency", stream)
    found = {}
    if not run.exports_own_model:
        found["given fp32"] = to_onnx(final.model).SerializeToString()
    elif run.spec.prunes:
        unpruned = load_model(run.model_to_prune, run.key)[0]
        found["unpruned fp32"] = to_onnx(unpruned).SerializeToString()
        found["pruned fp32"] = to_onnx(final.model).SerializeToString()
    else:
        found["trained fp32"] = to_onnx(final.model).SerializeToString()
    found[f"exported {file.data_type}"] = exported
    return found


def _cases(networks: dict[str, bytes], threads: int, batch: int) -> list[dict[str, Any]]:
    return cases_of(list(networks), threads, batch, measured(list(networks.values()), threads, batch))


def cases_of(names: Sequence[str], threads: int, batch: int, found: Measurement) -> list[dict[str, Any]]:
    """The entries of `latency.json` for networks that were measured together."""
    return [
        {
            "network": name,
            "threads": threads,
            "batch": batch,
            **_figures(timing),
            "ratio": ratio,
            **_load(found.load),
        }
        for name, timing, ratio in zip(names, found.timings, found.ratios, strict=True)
    ]


def _figures(timing: Timing) -> dict[str, float]:
    return {"p10_ms": timing.p10, "p50_ms": timing.p50, "p90_ms": timing.p90, "p99_ms": timing.p99}


def _load(load: Load) -> dict[str, Any]:
    return {"busy": load.busy, "waiting": load.waiting, "spread": load.spread, "attempts": load.attempts}
