"""Every backbone at 224x224: parameters, MACs, size and latency of the exported file.

    .venv/bin/python bench/zoo.py [--out bench/zoo.md]

20 classes, 3 channels, fresh weights, batch normalisation where the family has it, use_pooling where the family has
it. Latency is ONNX Runtime's on the CPU, one thread, batch 1, each network in turn with resnet_18 in the same
process; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

import numpy as np
import onnxruntime
from secateur.keras_to_onnx.writer import to_onnx
from secateur.models.cost import cost_of
from secateur.spec import ModelSpec
from secateur.spec.architectures import ARCHITECTURES, FIXED, family_name
from secateur.zoo import build

REFERENCE = "resnet_18"
CLASSES, SIZE = 20, (3, 224, 224)
ROUNDS = 9
HEADING = """# Every backbone at 224x224

Written by `bench/zoo.py`: {classes} classes, new weights, batch normalisation and pooling if the family has the
switch. ONNX Runtime {onnxruntime} on a CPU of a shared machine, one thread, batch 1; median of {rounds} runs, each in
turn with {reference} in the same process, so the ratios are more reliable than the milliseconds. Keras {keras}.

| arch | parameters | MACs | exported fp32 | latency | times {reference} |
|---|--:|--:|--:|--:|--:|
"""


def main() -> None:
    """Print the table; write it when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out")
    options = parser.parse_args()
    reference, *_ = exported(REFERENCE)
    text = HEADING.format(
        classes=CLASSES,
        rounds=ROUNDS,
        reference=REFERENCE,
        onnxruntime=version("onnxruntime"),
        keras=version("keras"),
    )
    for arch in ARCHITECTURES:
        session, cost, size = exported(arch)
        own, theirs = in_turn(session, reference)
        row = (
            f"| {arch} | {cost.params:,} | {cost.macs / 1e6:,.0f} M | {size / 1e6:.1f} MB | {own * 1e3:.1f} ms "
            f"| {own / theirs:.2f} |\n"
        )
        print(row, end="", flush=True)
        text += row
    if options.out:
        Path(options.out).write_text(text)


def exported(arch: str) -> tuple[onnxruntime.InferenceSession, Any, int]:
    """The network as ONNX Runtime sees it, its cost, and the size of its file in bytes."""
    fixed = FIXED[family_name(arch)]
    spec = ModelSpec(
        arch=arch,
        input_image_size=SIZE,
        use_batch_norm="use_batch_norm" not in fixed,
        use_pooling="use_pooling" not in fixed,
    )
    model = build(spec, CLASSES)
    content = to_onnx(model).SerializeToString()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
    return session, cost_of(model), len(content)


def in_turn(first: onnxruntime.InferenceSession, second: onnxruntime.InferenceSession) -> tuple[float, float]:
    """Median seconds of each, alternating."""
    image = np.random.default_rng(0).normal(size=(1, *SIZE)).astype(np.float32)
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS + 1):
        for session, taken in zip((first, second), times, strict=True):
            started = time.perf_counter()
            session.run(None, {"input_1": image})
            if turn:
                taken.append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


if __name__ == "__main__":
    main()
