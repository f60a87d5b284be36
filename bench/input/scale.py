"""A manifest of ImageNet's size: time and memory of split, of a dry run's look at the files, and of the first batches.

    python bench/input/scale.py --work FOLDER --out bench/results/input-scale.json

Makes up to 1,300,000 JPEGs of 32 x 32 pixels in 1,000 class folders, each different. Each measurement is a process of
its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 1000
SIDE = 32


def make_class(folder: Path, label: int, images: int) -> None:
    """Write the images of one class."""
    rng = np.random.default_rng(label)
    target = folder / f"n{label:08}"
    target.mkdir(parents=True, exist_ok=True)
    for number in range(images):
        pixels = rng.integers(0, 256, (SIDE, SIDE), np.uint8)
        Image.fromarray(pixels).save(target / f"n{label:08}_{number}.jpg", quality=50)


def spec_file(folder: Path, images: Path) -> Path:
    """A spec that names the images."""
    path = folder / "spec.yaml"
    path.write_text(
        f"data: {{source: {images}, cache: never}}\n"
        f"model: {{input_image_size: '3,{SIDE},{SIDE}'}}\nresults_dir: {folder}/results\n"
    )
    return path


def measured(what: str, spec: Path) -> dict[str, float]:
    """Seconds and peak memory of one step in a process of its own."""
    code = [sys.executable, __file__, "--child", what, "--spec", str(spec)]
    start = time.monotonic()
    out = subprocess.run(
        code, check=True, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    result: dict[str, float] = json.loads(out.stdout.splitlines()[-1])
    return {**result, "process_seconds": time.monotonic() - start}


def child(what: str, spec_path: Path) -> None:
    """Do one step; print seconds and peak memory."""
    from secateur.data.contents import ContentIndex, contents_digest
    from secateur.run import run_of
    from secateur.spec import load_spec

    spec = load_spec(spec_path)
    run = run_of("scale", spec, spec_path.parent)
    start = time.monotonic()
    if what == "listing":
        contents_digest([str(spec.data.source)], ContentIndex(Path("images.index")))
    elif what == "split":
        from secateur.steps.split import split_step

        split_step(run, sys.stderr)
    else:
        first_batches(run)
    seconds = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak_bytes": peak}))


def first_batches(run: object) -> None:
    """Read the manifest and make 100 training batches of 64."""
    from secateur.data.classes import read_classmap
    from secateur.data.manifest import read_manifest, rows_of_split
    from secateur.data.pipeline import ImageReader, TrainingBatches
    from secateur.steps.run_images import images_of

    spec = run.spec
    classes = read_classmap(run.classmap)
    rows, labels = rows_of_split(read_manifest(run.manifest), "train", classes)
    reader = ImageReader(spec.data, spec.augment, spec.model, 2)
    batches = TrainingBatches(reader, images_of(run, reader, rows, training=True), labels, len(classes), 64, 1, 0)
    for index in range(min(100, len(batches))):
        batches[index]


def main() -> None:
    """Measure all sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_300_000])
    parser.add_argument("--child")
    parser.add_argument("--spec", type=Path)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.spec)
        return
    results = {}
    for size in options.sizes:
        folder = options.work / str(size)
        with ProcessPoolExecutor() as pool:
            count = size // CLASSES
            list(
                pool.map(
                    make_class, *zip(*((folder / "images", label, count) for label in range(CLASSES)), strict=True)
                )
            )
        spec = spec_file(folder, folder / "images")
        results[size] = {what: measured(what, spec) for what in ("listing", "split", "batches")}
        for entry in results[size].values():
            entry["microseconds_per_file"] = entry["seconds"] / size * 1e6
        print(size, json.dumps(results[size]), flush=True)
        conditions = {"cpus": os.cpu_count(), "python": platform.python_version(), "platform": platform.platform()}
        options.out.write_text(json.dumps({"conditions": conditions, "files": results}, indent=2) + "\n")
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
