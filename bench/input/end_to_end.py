"""Does training wait for images? Speed of training from files beside that of the model alone and of the input alone.

    .venv/bin/python bench/input/end_to_end.py --images ../shared/data/clothing/train --work WORK \
        [--arch resnet_18] [--side 64] [--batches 30] [--rounds 3] [--out bench/results/input-end-to-end.json]

`model` trains on one batch in memory again and again; `input` makes batches and throws them away; `files` and `cached`
train on what the input makes, as the train step does. They take turns, in another order each round; the best counts.
The first pass of each is not counted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))

import keras
import numpy as np
from secateur.data.filesystem import files_below
from secateur.data.image_cache import cache_path, open_image_cache, write_image_cache
from secateur.data.pipeline import ImageFiles, ImageReader, Images, TrainingBatches
from secateur.spec import AugmentSpec, DataSpec, ModelSpec, TrainSpec
from secateur.storage.atomic import write_json
from secateur.training.compiling import compile_for_training
from secateur.zoo import build

BATCH, CLASSES, WORKERS = 32, 10, 2


class Again(keras.utils.PyDataset):
    """One batch, many times."""

    def __init__(self, batch: tuple[np.ndarray, ...], count: int) -> None:
        super().__init__()
        self.batch, self.count = batch, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        return self.batch


def main() -> None:
    """Measure and print; write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--arch", default="resnet_18")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--batches", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out")
    options = parser.parse_args()
    paths = sorted(files_below(options.images))
    chosen = np.random.default_rng(0).permutation(len(paths))[: options.batches * BATCH]
    ways = _ways([paths[position] for position in chosen], options)
    for way in ways.values():
        way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(options.rounds):
        for name in list(ways) if number % 2 == 0 else list(ways)[::-1]:
            begun = time.perf_counter()
            ways[name]()
            times[name].append(time.perf_counter() - begun)
    speed = {name: round(len(chosen) / min(rounds), 1) for name, rounds in times.items()}
    limit = min(speed["model"], speed["input"])
    shares = {name: round(speed[name] / limit, 3) for name in ("files", "cached")}
    print(speed, "of the slower of model and input:", shares)
    if options.out:
        about = {"arch": options.arch, "side": options.side, "batch": BATCH, "batches": options.batches}
        write_json(options.out, {**about, "images_per_s": speed, "share_of_the_slower": shares})


def _ways(paths: list[str], options: argparse.Namespace) -> dict[str, Callable[[], None]]:
    spec = ModelSpec(arch=options.arch, input_image_size=(3, options.side, options.side), use_batch_norm=True)
    reader = ImageReader(DataSpec(), AugmentSpec(), spec, WORKERS)
    files = ImageFiles(reader, paths, training=True)
    cached_file = cache_path(options.work, reader, paths, training=True, code="bench")
    if not cached_file.exists():
        write_image_cache(cached_file, files, 0)
    labels = np.arange(len(paths)) % CLASSES

    def batches(images: Images) -> TrainingBatches:
        return TrainingBatches(reader, images, labels, CLASSES, BATCH, 0, 0)

    learner = compile_for_training(build(spec, CLASSES), TrainSpec(batch_size_per_gpu=BATCH), options.batches)

    def fit(source: keras.utils.PyDataset) -> None:
        learner.fit(source, shuffle=False, verbose=0)

    again = Again(batches(files)[0], options.batches)
    cached = open_image_cache(cached_file, reader, len(paths))
    return {
        "model": lambda: fit(again),
        "input": lambda: _drain(batches(files)),
        "files": lambda: fit(batches(files)),
        "cached": lambda: fit(batches(cached)),
    }


def _drain(batches: TrainingBatches) -> None:
    with ThreadPoolExecutor(WORKERS) as askers:
        for _ in askers.map(batches.__getitem__, range(len(batches))):
            pass


if __name__ == "__main__":
    main()
