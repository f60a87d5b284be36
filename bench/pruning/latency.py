"""Latency of cut networks by ONNX Runtime, as a ratio to the unpruned network, all measured in turn in one run.

    .venv/bin/python bench/pruning/latency.py --images ../shared/data/clothing --work WORK [--seed 1]

The networks are those of `compare.py`: one of each arch, trained for 20 epochs, cut to 75, 50, 25 and 10 % of its MACs.
One thread, batch 1 and 16, 64x64. MACs saved are not time saved: depthwise convolutions and small layers wait for
memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))

import keras
import numpy as np
from secateur.export.timing import measured
from secateur.keras_to_onnx.writer import to_onnx
from secateur.pruning import prune
from secateur.pruning.taylor import LabelledImages
from secateur.spec import PruneSpec
from setup import OPTIONS, Images, base_model, load_images

BUDGETS = (0.75, 0.5, 0.25, 0.1)
METHODS = (("bn_scale", "uniform"), ("l2", "layer"), ("taylor", "global"))
BATCHES = (1, 16)
LOOKED_AT, EPOCHS = 512, 20


def main() -> None:
    """Measure each arch whose unpruned network is in WORK, or train it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--arch", nargs="*", default=list(OPTIONS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "latency.json")
    options = parser.parse_args()
    data = load_images(options.images, options.work)
    found = {name: version(name) for name in ("onnxruntime", "keras")} | {"python": platform.python_version()}
    measured = json.loads(options.out.read_text())["networks"] if options.out.exists() else {}
    for arch in options.arch:
        measured[arch] = of_arch(base_model(arch, options.seed, EPOCHS, data, options.work), data["train"])
        options.out.write_text(json.dumps({**found, "networks": measured}, indent=2) + "\n")
        print(table(arch, measured[arch]), flush=True)


def of_arch(base: keras.Model, train: Images) -> list[dict[str, object]]:
    """One row for each cut: shares of MACs and parameters, milliseconds and ratios by batch size."""
    chosen = np.random.default_rng(1).permutation(len(train.pixels))[:LOOKED_AT]
    images = LabelledImages(train.pixels[chosen], train.labels[chosen])
    rows: list[dict[str, object]] = [{"importance": "none", "ranking": "none", "macs": 1.0, "params": 1.0}]
    networks = [base]
    for importance, ranking in METHODS:
        for budget in BUDGETS:
            narrow, report = prune(base, PruneSpec(target_macs=budget, importance=importance, ranking=ranking), images)
            networks.append(narrow)
            macs, params = report.after.macs / report.before.macs, report.after.params / report.before.params
            rows.append(
                {"importance": importance, "ranking": ranking, "macs": round(macs, 4), "params": round(params, 4)}
            )
    files = [to_onnx(network).SerializeToString() for network in networks]
    for batch in BATCHES:
        found = measured(files, threads=1, batch=batch)
        for row, timing, ratio in zip(rows, found.timings, found.ratios, strict=True):
            row |= {f"ms_batch_{batch}": round(timing.p10, 3), f"ratio_batch_{batch}": round(ratio, 3)}
            row |= {f"busy_batch_{batch}": found.load.busy}
    return rows


def table(arch: str, rows: list[dict[str, object]]) -> str:
    """Markdown."""
    lines = [
        f"| {arch} | MACs kept | parameters kept | ratio of time, batch 1 | batch 16 | ms, batch 1 |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        name = "unpruned" if row["importance"] == "none" else f"{row['importance']}, {row['ranking']}"
        lines.append(
            f"| {name} | {row['macs']:.1%} | {row['params']:.1%} | {row['ratio_batch_1']:.2f} | "
            f"{row['ratio_batch_16']:.2f} | {row['ms_batch_1']:.2f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
