"""Did a change make the split or the input slower? Two checkouts take turns on the same images, as a ratio.

    .venv/bin/python bench/input/before_after.py --before OLD_CHECKOUT --images ../shared/data/clothing/train \
        [--rounds 7] [--out bench/results/input-before-after.json]

A process for each turn and checkout examines the images (`split`: each file is read, decoded and digested), reads one
epoch from the files, writes the image cache, and reads three epochs from it. It imports and warms up first. The ratio
of a pair is after / before; the figure is the median of the pairs with an interval (a bootstrap of 95 %). Seconds of
all threads on processors are counted, which other work on the machine changes least, and seconds of the clock.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parents[2]
SIDE, BATCH, WORKERS, EPOCHS_CACHED = 224, 32, 2, 3


def measure(images: str) -> dict[str, float]:
    """The seconds of each part on processors and by the clock, of the checkout whose `scripts` is first in the path."""
    from secateur.data.examination import examine_all
    from secateur.data.filesystem import files_below
    from secateur.data.image_cache import cache_path, open_image_cache, write_image_cache
    from secateur.data.pipeline import ImageFiles, ImageReader
    from secateur.spec import AugmentSpec, DataSpec, ModelSpec

    paths = sorted(files_below(images))
    reader = ImageReader(DataSpec(), AugmentSpec(mixup_alpha=0), ModelSpec(input_image_size=(3, SIDE, SIDE)), WORKERS)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as work:
        examine_all(paths[:BATCH], DataSpec(), lambda done: None, WORKERS)
        files = ImageFiles(reader, paths, training=True)
        place = cache_path(Path(work), reader, paths, training=True, code="bench")

        def timed(name: str, call: object) -> None:
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            found[name] = time.process_time() - cpu
            found[f"{name}, wall"] = time.perf_counter() - wall

        timed("split", lambda: examine_all(paths, DataSpec(), lambda done: None, WORKERS))
        timed("epoch from files", lambda: _epoch(reader, files, len(paths), 1))
        timed("writing the cache", lambda: write_image_cache(place, files, 0))
        cached = open_image_cache(place, reader, len(paths))
        timed("epochs from the cache", lambda: _epoch(reader, cached, len(paths), EPOCHS_CACHED))
    return found


def _epoch(reader: object, images: object, count: int, epochs: int) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from secateur.data.pipeline import TrainingBatches

    batches = TrainingBatches(reader, images, np.zeros(count, int), 2, BATCH, 0, 0)
    with ThreadPoolExecutor(WORKERS) as askers:
        for _ in range(epochs):
            for _ in askers.map(batches.__getitem__, range(count // BATCH)):
                pass


def _turn(checkout: Path, images: str) -> dict[str, float]:
    words = [sys.executable, __file__, "--measure", str(checkout), "--images", images]
    return dict(json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[-1]))


def _interval(ratios: list[float]) -> list[float]:
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(ratios, (2000, len(ratios))), axis=1)
    return [round(float(limit), 3) for limit in np.quantile(medians, (0.025, 0.975))]


def main() -> None:
    """Measure in turn and print; write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--images", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.measure:
        sys.path.insert(0, str(options.measure.resolve() / "scripts"))
        print(json.dumps(measure(options.images)))
        return
    pairs: list[tuple[dict[str, float], dict[str, float]]] = []
    for number in range(options.rounds):
        order = (options.before, HERE) if number % 2 == 0 else (HERE, options.before)
        taken = {place: _turn(place, options.images) for place in order}
        pairs.append((taken[options.before], taken[HERE]))
        print({name: round(taken[HERE][name] / taken[options.before][name], 3) for name in taken[HERE]}, flush=True)
    report: dict[str, object] = {"rounds": options.rounds, "python": platform.python_version()}
    for name in pairs[0][0]:
        ratios = [after[name] / before[name] for before, after in pairs]
        seconds = [round(float(np.median([pair[side][name] for pair in pairs])), 3) for side in (0, 1)]
        report[name] = {"ratio": round(float(np.median(ratios)), 3), "interval": _interval(ratios), "s": seconds}
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
