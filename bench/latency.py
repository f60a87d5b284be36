"""Latency on a quiet and on a busy machine: how steady the figures are, and what tells that the machine is busy.

    .venv/bin/python bench/latency.py [--out bench/results/latency.json] [--repeats 4]

resnet_18 at 64x64 and the same network cut to 5 % of its MACs, timed side by side by the product's function, while
0, 1, 2 and 4 other processes compute without end. `p50` is the ratio that was reported before. `busy` is what the
product says of each measurement.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

import onnxruntime
from secateur.export.timing import Measurement, measured

BURN = "while True: sum(number * number for number in range(10_000))"
OTHERS = (0, 1, 2, 4)


def networks(size: int) -> list[bytes]:
    """The uncut and the cut network."""
    from secateur.keras_to_onnx.writer import to_onnx
    from secateur.pruning import prune
    from secateur.spec import ModelSpec, PruneSpec
    from secateur.zoo import build

    spec = ModelSpec(arch="resnet_18", use_batch_norm=True, input_image_size=f"3,{size},{size}")
    whole = build(spec, 10)
    cut, _ = prune(whole, PruneSpec(target_macs=0.05, min_num_filters=8))
    return [to_onnx(network).SerializeToString() for network in (whole, cut)]


@contextmanager
def others(count: int) -> Iterator[None]:
    """So many processes compute meanwhile."""
    running = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(count)]
    time.sleep(0.5)
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def row(found: Measurement, others: int, threads: int) -> dict[str, Any]:
    """The figures of one measurement."""
    whole, cut = found.timings
    return {
        "others": others,
        "threads": threads,
        "ratio": round(found.ratios[1], 4),
        "ratio_by_p50": round(cut.p50 / whole.p50, 4),
        "whole_ms": round(whole.p10, 3),
        "cut_ms": round(cut.p10, 3),
        "whole_p50_ms": round(whole.p50, 3),
        "cut_p50_ms": round(cut.p50, 3),
        "waiting": round(found.load.waiting, 3),
        "spread": round(found.load.spread, 2),
        "attempts": found.load.attempts,
        "busy": found.load.busy,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=4)
    options = parser.parse_args()
    models, rows = networks(options.size), []
    for threads in dict.fromkeys((1, os.cpu_count() or 1)):
        for count in OTHERS:
            with others(count):
                for _ in range(options.repeats):
                    rows.append(row(measured(models, threads), count, threads))
                    print(rows[-1], flush=True)
    found = {"cpus": os.cpu_count(), "python": platform.python_version(), "onnxruntime": onnxruntime.__version__}
    if options.out:
        options.out.write_text(json.dumps({**found, "size": options.size, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
