"""Images per second of our training loop against plain Keras `fit`: same model, batch, size and data in memory.

    .venv/bin/python bench/train_throughput.py [--out bench/results/train_throughput.json]

Both are compiled alike and validate after each epoch. They run in turn, ours-plain-plain-ours twice over, in one
process; a warm-up of each is not counted. Ratios are of summed times: of wall time, which a shared machine makes
noisy, and of the process's CPU time, which it does not.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

import keras
import numpy as np
from secateur.spec import ModelSpec, TrainSpec
from secateur.storage.atomic import write_json
from secateur.training.compiling import compile_for_training
from secateur.training.loop import Trainer
from secateur.training.overrides import configured
from secateur.zoo import build

CLASSES, SIZE, BATCH, BATCHES, EPOCHS = 10, 64, 32, 40, 2
ORDER = ("ours", "plain", "plain", "ours") * 2


class InMemory(keras.utils.PyDataset):
    """Batches of arrays."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        super().__init__()
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images) // BATCH

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = slice(index * BATCH, (index + 1) * BATCH)
        return self.images[chosen], self.labels[chosen]


def main() -> None:
    """Measure and print; write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    images = rng.normal(size=(BATCH * BATCHES, SIZE, SIZE, 3)).astype("float32")
    labels = np.eye(CLASSES, dtype="float32")[rng.integers(0, CLASSES, len(images))]
    section = TrainSpec(batch_size_per_gpu=BATCH, num_epochs=EPOCHS, lr_config={"learning_rate": 0.01})
    spec = ModelSpec(arch="resnet_18", use_batch_norm=True, input_image_size=(3, SIZE, SIZE))
    runs = {"ours": ours, "plain": plain}
    warm_up = section.model_copy(update={"num_epochs": 1})
    for run in runs.values():
        run(configured(build(spec, CLASSES), section), images, labels, warm_up)
    wall: dict[str, list[float]] = {kind: [] for kind in runs}
    cpu: dict[str, list[float]] = {kind: [] for kind in runs}
    for kind in ORDER:
        model = configured(build(spec, CLASSES), section)
        started, started_cpu = time.perf_counter(), time.process_time()
        runs[kind](model, images, labels, section)
        wall[kind].append(round(time.perf_counter() - started, 2))
        cpu[kind].append(round(time.process_time() - started_cpu, 2))
    count = len(images) * EPOCHS * ORDER.count("ours")
    result = {
        "images_per_second": {kind: round(count / sum(times), 1) for kind, times in wall.items()},
        "ratio_ours_to_plain": round(sum(wall["plain"]) / sum(wall["ours"]), 3),
        "ratio_ours_to_plain_by_cpu_time": round(sum(cpu["plain"]) / sum(cpu["ours"]), 3),
        "seconds": wall,
        "cpu_seconds": cpu,
        "conditions": {
            "model": f"resnet_18, {SIZE}x{SIZE}, batch {BATCH}, {BATCHES} batches an epoch, {EPOCHS} epochs",
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            **{name: version(name) for name in ("keras", "tensorflow")},
        },
    }
    print(json.dumps(result, indent=2))
    if options.out:
        write_json(options.out, result)


def ours(model: keras.Model, images: np.ndarray, labels: np.ndarray, train_spec: TrainSpec) -> None:
    """Our loop as the train step drives it, without files."""
    data = InMemory(images, labels)
    held_out = InMemory(images[: BATCH * 2], labels[: BATCH * 2])
    Trainer(model, train_spec, lambda epoch: data, held_out, len(images), stream=io.StringIO()).run()


def plain(model: keras.Model, images: np.ndarray, labels: np.ndarray, train_spec: TrainSpec) -> None:
    """Keras as its documentation shows it."""
    compile_for_training(model, train_spec, len(images) // BATCH)
    held_out = (images[: BATCH * 2], labels[: BATCH * 2])
    model.fit(images, labels, BATCH, epochs=train_spec.num_epochs, validation_data=held_out, verbose=0)


if __name__ == "__main__":
    main()
