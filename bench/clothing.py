"""Photographs of clothing through the whole chain: accuracy, parameters, MACs, file sizes, latency.

    .venv/bin/python bench/clothing.py --images ../shared/data/clothing [--out bench/results/clothing.json]

resnet_18 at 64x64 by default; any spec of the same data can be measured with --spec. Latency is ONNX
Runtime's, one thread, batch 1, the pruned and the unpruned model in turn in one process, as a ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

import numpy as np
import onnxruntime
from secateur.export.exported_files import export_name
from secateur.keras_to_onnx.writer import to_onnx
from secateur.models.file import load_model
from secateur.run import Run
from secateur.spec import load_spec
from secateur.steps.evaluate import evaluate
from secateur.steps.export import export
from secateur.steps.prune import prune_step
from secateur.steps.split import split_step
from secateur.steps.train import retrain, train
from secateur.storage.atomic import write_json

SPEC = Path(__file__).parent.parent / "config/specs/clothing.yaml"
LATENCY_ROUNDS, LATENCY_RUNS = 7, 30


def main() -> None:
    """Run the chain and print its figures; write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True)
    parser.add_argument("--spec", default=str(SPEC))
    parser.add_argument("--out")
    parser.add_argument("--folder", help="keep files here; a first training that is there already is used again")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    options = parser.parse_args()
    spec = load_spec(
        options.spec,
        [
            "key=bench",
            f"data.train_dataset_path={options.images}/train",
            f"data.val_dataset_path={options.images}/validation",
            f"evaluate.dataset_path={options.images}/test",
            *options.overrides,
        ],
    )
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(options.folder or folder)
        run = Run("clothing", spec, kept / "results", kept / "work")
        result = chain(run)
    print(json.dumps(result, indent=2))
    if options.out:
        write_json(options.out, result)


def chain(run: Run) -> dict[str, object]:
    """All steps; returns the figures."""
    seconds = {}
    accuracy = {}
    for name, step in (
        ("split", lambda: split_step(run, sys.stderr)),
        ("train", lambda: train(run, sys.stderr)),
        ("evaluate unpruned", lambda: evaluate(run, sys.stderr, "train")),
        ("prune", lambda: prune_step(run, sys.stderr)),
        ("evaluate right after the cut", lambda: evaluate(run, sys.stderr, "external")),
        ("retrain", lambda: retrain(run, sys.stderr)),
        ("evaluate retrained", lambda: evaluate(run, sys.stderr, "retrain")),
        ("export", lambda: export(run, sys.stderr, export_name(run.spec))),
    ):
        if name == "train" and run.model("train").exists():
            continue
        started = time.monotonic()
        outcome = step()
        seconds[name] = round(time.monotonic() - started, 1)
        if name.startswith("evaluate"):
            accuracy[name.removeprefix("evaluate ")] = {
                key: round(outcome[key], 4) for key in ("top_1", "top_k", "loss")
            }
    seconds["train"] = json.loads((run.results / "train/metrics.json").read_text())["seconds"]
    report = json.loads((run.results / "prune/report.json").read_text())
    files = {f"{step}/model.tlt": run.model(step).stat().st_size for step in ("train", "prune", "retrain")}
    files |= {path.name: path.stat().st_size for path in (run.results / "export").glob("*.etlt")}
    images = json.loads((run.results / "split/report.json").read_text())["images_per_split"]
    standard_error = (accuracy["retrained"]["top_1"] * (1 - accuracy["retrained"]["top_1"]) / images["test"]) ** 0.5
    return {
        "accuracy_on_test": accuracy,
        "standard_error_of_top_1": round(standard_error, 4),
        "parameters": {key: report[key] for key in ("params_before", "params_after", "params_kept_ratio")},
        "macs": {key: report[key] for key in ("macs_before", "macs_after", "macs_kept_ratio")},
        "file_bytes": files,
        "latency": latency(run),
        "images": images,
        "seconds": seconds,
        "spec": run.spec.model_dump(mode="json", exclude={"key", "data", "results_dir"}, exclude_none=True),
        "versions": {
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            **{name: version(name) for name in ("keras", "tensorflow", "onnxruntime", "numpy")},
        },
    }


def latency(run: Run) -> dict[str, float]:
    """Median milliseconds an image, alternating between the two models."""
    sessions = {}
    for name in ("train", "retrain"):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        content = to_onnx(load_model(run.model(name), run.key)[0]).SerializeToString()
        sessions[name] = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    channels, height, width = run.spec.model.input_image_size
    image = np.random.default_rng(0).normal(size=(1, channels, height, width)).astype("float32")
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(LATENCY_ROUNDS):
        for name, session in sessions.items():
            for _ in range(LATENCY_RUNS):
                started = time.perf_counter()
                session.run(None, {"input_1": image})
                times[name].append(time.perf_counter() - started)
    middle = {name: float(np.median(values)) * 1000 for name, values in times.items()}
    return {
        "unpruned_ms": round(middle["train"], 3),
        "pruned_ms": round(middle["retrain"], 3),
        "speed_up": round(middle["train"] / middle["retrain"], 2),
    }


if __name__ == "__main__":
    main()
