"""What an exported file is worth: accuracy, size and latency of fp32, fp16, int8 after and int8 by training.

    .venv/bin/python bench/ship/ship.py --images ../shared/data/clothing --work WORK [--arch resnet_18] [--seed 1]

One network of 20 epochs (that of bench/pruning), and the same cut to 50 % of its MACs and retrained for 8 epochs. Each
is exported as fp32, fp16, int8 with ranges from 512 training images, int8 with the layers that hurt left in float
(`int8_max_drop` 0.01 on the validation images), and int8 after 4 more epochs of quantisation-aware training; beside it
stands fp32 after the same 4 epochs without. Accuracy is ONNX Runtime's on the exported file, on validation and test
images together (713); latency is its on one thread, all files of the arch in turn in one run, as a ratio to the
unpruned fp32. WORK keeps the networks: a second run resumes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))
sys.path.insert(0, str(Path(__file__).parent.parent / "pruning"))

import keras
import numpy as np
import onnx
import onnxruntime
import setup
from secateur.export.timing import measured
from secateur.keras_to_onnx.half import to_half
from secateur.keras_to_onnx.writer import to_onnx
from secateur.models.file import load_model, save_model
from secateur.pruning import prune
from secateur.quantization.aware import plain_network
from secateur.quantization.calibration import measured_ranges
from secateur.quantization.exact import exact_options
from secateur.quantization.integers import integer_check
from secateur.quantization.placement import Network
from secateur.quantization.qdq import quantised
from secateur.quantization.ranges import Ranges, ranges_from_json
from secateur.quantization.sensitivity import choose_float_layers, unit_of_nodes
from secateur.spec import PruneSpec

BASE_EPOCHS, RETRAIN_EPOCHS, MORE_EPOCHS = 20, 8, 4
RETRAIN_RATE, MORE_RATE = 0.001, 0.0002
CALIBRATION_IMAGES, MAX_DROP = 512, 0.01
KEY = setup.KEY


def main() -> None:
    """Measure one arch and write its JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--arch", default="resnet_18")
    parser.add_argument("--seed", default=1, type=int)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    data = setup.load_images(options.images, options.work)
    rows = _rows(options, data)
    out = options.out or Path(__file__).parent / f"{options.arch}.json"
    out.write_text(json.dumps(_report(options, rows), indent=2) + "\n")


def _rows(options: Any, data: dict[str, setup.Images]) -> list[dict[str, Any]]:
    base = setup.base_model(options.arch, options.seed, BASE_EPOCHS, data, options.work)
    pruned = _kept(options, "pruned", lambda: (_retrained(_cut(base), data, options.seed), {}))[0]
    files: list[tuple[str, str, bytes, dict[str, Any]]] = []
    for name, model in (("unpruned", base), ("pruned to 50 % of the MACs", pruned)):
        files += [(name, kind, content, more) for kind, content, more in _exports(options, name, model, data)]
    contents = [content for _, _, content, _ in files]
    latencies, sixteen = ([timing.p10 for timing in measured(contents, batch=batch).timings] for batch in (1, 8))
    rows = []
    for (name, kind, content, more), one, eight in zip(files, latencies, sixteen, strict=True):
        right, count = _right(content, data)
        row = {
            "network": name,
            "file": kind,
            "top_1": right / count,
            "standard_error": math.sqrt(right * (count - right) / count**3),
            "bytes": len(content),
            "size_ratio": len(content) / len(files[0][2]),
            "ms_batch_1": one,
            "ratio_batch_1": one / latencies[0],
            "ratio_batch_8": eight / sixteen[0],
            **more,
        }
        rows.append(row)
        print(row, flush=True)
    return rows


def _cut(base: keras.Model) -> keras.Model:
    return prune(base, PruneSpec(target_macs=0.5))[0]


def _retrained(model: keras.Model, data: dict[str, setup.Images], seed: int) -> keras.Model:
    return setup.trained(model, setup.train_section(RETRAIN_EPOCHS, RETRAIN_RATE), data, seed).model


def _kept(options: Any, name: str, make: Callable[[], tuple[keras.Model, dict[str, Any]]]) -> tuple[keras.Model, Any]:
    """A network with a card, made on the first call."""
    path = options.work / f"ship-{options.arch}-{options.seed}-{name}.tlt"
    if not path.exists():
        model, card = make()
        save_model(model, path, KEY, {"classes": [], **card})
    return load_model(path, KEY)


def _exports(options: Any, name: str, model: keras.Model, data: dict[str, setup.Images]) -> Any:
    slug = name.split(maxsplit=1)[0]
    proto = to_onnx(model)
    yield "fp32", proto.SerializeToString(), {}
    yield "fp16", to_half(to_onnx(model)).SerializeToString(), {}
    ranges = measured_ranges(proto, _calibration(data), "minmax")
    yield _integers("int8 after training", proto, ranges)
    validation = [images.transpose(0, 3, 1, 2) for images in _batches(data["validation"].pixels)]
    left = choose_float_layers(proto, ranges, validation, data["validation"].labels.argmax(axis=1), MAX_DROP)
    units = unit_of_nodes(Network(proto))
    kind, content, more = _integers(
        f"int8 after training, {len(left.names)} layers in float",
        proto,
        ranges,
        lambda node: units.get(node.name) not in left.names,
    )
    yield kind, content, {**more, "in_float_by_choice": list(left.names)}
    longer = _kept(options, f"{slug}-longer", lambda: (_longer(model, data, options.seed), {}))[0]
    yield f"fp32, {MORE_EPOCHS} more epochs", to_onnx(longer).SerializeToString(), {}
    trained, card = _kept(options, f"{slug}-qat", lambda: _aware(model, data, options.seed))
    found = ranges_from_json(card["quantization"], slug)
    yield _integers(f"int8 by training, {MORE_EPOCHS} more epochs", to_onnx(trained), found)


def _integers(kind: str, proto: onnx.ModelProto, ranges: Ranges, wanted: Any = lambda node: True) -> Any:
    content = quantised(proto, ranges, "onnxruntime", wanted).SerializeToString()
    return kind, content, integer_check(content).as_json()


def _longer(model: keras.Model, data: dict[str, setup.Images], seed: int) -> keras.Model:
    return setup.trained(model, setup.train_section(MORE_EPOCHS, MORE_RATE), data, seed).model


def _aware(model: keras.Model, data: dict[str, setup.Images], seed: int) -> tuple[keras.Model, dict[str, Any]]:
    section = setup.train_section(MORE_EPOCHS, MORE_RATE, qat=True)
    learner = setup.trained(model, section, data, seed).model
    plain, ranges = plain_network(learner, model)
    return plain, {"quantization": ranges.as_json()}


def _batches(pixels: np.ndarray, size: int = 64) -> list[np.ndarray]:
    return [pixels[start : start + size] for start in range(0, len(pixels), size)]


def _calibration(data: dict[str, setup.Images]) -> list[np.ndarray]:
    pixels = data["train"].pixels
    chosen = np.unique(np.linspace(0, len(pixels) - 1, CALIBRATION_IMAGES).astype(int))
    return [images.transpose(0, 3, 1, 2) for images in _batches(pixels[chosen])]


def _right(content: bytes, data: dict[str, setup.Images]) -> tuple[int, int]:
    session = onnxruntime.InferenceSession(content, exact_options(), providers=["CPUExecutionProvider"])
    pixels = np.concatenate([data["validation"].pixels, data["test"].pixels])
    labels = np.concatenate([data["validation"].labels, data["test"].labels]).argmax(axis=1)
    answers = [session.run(None, {"input_1": images.transpose(0, 3, 1, 2)})[0] for images in _batches(pixels)]
    return int((np.concatenate(answers).argmax(axis=1) == labels).sum()), len(labels)


def _report(options: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "arch": options.arch,
        "seed": options.seed,
        "image": f"{setup.SIZE}x{setup.SIZE}",
        "base_epochs": BASE_EPOCHS,
        "versions": {"keras": keras.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
        "rows": rows,
    }


if __name__ == "__main__":
    main()
