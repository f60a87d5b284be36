"""Peak memory of exporting vgg_16 with its 4096-wide head, by the product's own writer and by tf2onnx.

    .venv/bin/python bench/ship/memory.py [--out bench/ship/memory.json]

Each in a process of its own: build the network (138 million parameters, 224x224, 1000 classes), save it, then what the
export step does: load, convert, serialise, run ONNX Runtime and Keras on a batch, write. tf2onnx is stopped when it
passes the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))
LIMIT_GB = 14.0
CASES = ("direct fp32", "direct fp16", "direct int8", "tf2onnx fp32")


def main() -> None:
    """Measure every case in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.case:
        return _one(options.case, options.folder)
    with tempfile.TemporaryDirectory() as folder:
        _run("make", folder)
        rows = [_run(case, folder) for case in CASES]
    print(json.dumps(rows, indent=2))
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n")


def _run(case: str, folder: str) -> dict[str, object]:
    command = [sys.executable, __file__, "--case", case, "--folder", folder]

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (int(LIMIT_GB * 2**30), int(LIMIT_GB * 2**30)))

    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limited)
    if done.returncode:
        return {"case": case, "failed": f"stopped at the limit of {LIMIT_GB:g} GB, exit code {done.returncode}"}
    return {"case": case, **json.loads(done.stdout.splitlines()[-1])}


def _one(case: str, folder: Path) -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import time

    import keras

    if case == "make":
        _make(folder)
        print("{}")
        return
    from secateur.export.exported_files import exported_files
    from secateur.steps.export import write_onnx
    from secateur.steps.exported_model import load_final_model

    _, kind = case.split()
    run = _project(folder, case)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    if kind == "int8":
        from secateur.steps.calibrate import calibrate

        calibrate(run, sys.stderr)
    file = exported_files(run.spec)[0]
    target = run.results / "export" / file.name
    target.parent.mkdir(exist_ok=True)
    write_onnx(run, load_final_model(run), file, target)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row = {"peak_gb": round(peak / 2**20, 2), "before_gb": round(before / 2**20, 2), "bytes": target.stat().st_size}
    print(json.dumps({**row, "cpu_s": round(time.process_time() - started, 1), "keras": keras.__version__}))


SPEC = """
key: bench
data: {{source: {folder}/images, preprocess_mode: caffe}}
model: {{arch: vgg_16, use_pooling: True, use_bias: True, retain_head: True}}
export: {{output_path: EXPORTDIR/m.onnx, data_type: {kind}, converter: {converter}, calibration: {{images: 16}}}}
"""


def _project(folder: Path, case: str):
    from secateur.run import run_of
    from secateur.spec import parse_spec

    converter, kind = case.split()
    return run_of("vgg", parse_spec(SPEC.format(folder=folder, kind=kind, converter=converter)), folder)


def _make(folder: Path) -> None:
    """A thousand classes, two dozen images, and the network with fresh weights."""
    import numpy as np
    import pandas as pd
    from PIL import Image
    from secateur.data.manifest import COLUMNS
    from secateur.models.file import save_model
    from secateur.storage.atomic import write_json
    from secateur.storage.csv import write_csv
    from secateur.zoo import build

    run, rng, rows = _project(folder, "direct fp32"), np.random.default_rng(0), []
    for number in range(24):
        path = folder / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)).save(path)
        row = {"path": str(path), "class": f"c{number:04d}", "split": "train" if number < 16 else "test"}
        rows.append({**dict.fromkeys(COLUMNS, 0), **row})
    run.manifest.parent.mkdir(parents=True)
    write_csv(run.manifest, pd.DataFrame(rows, columns=COLUMNS))
    write_json(run.classmap, {f"c{number:04d}": number for number in range(1000)})
    save_model(build(run.spec.model, 1000), run.model("train"), "bench", {"classes": []})


if __name__ == "__main__":
    main()
