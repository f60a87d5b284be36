"""How long the report of many test images takes, how large it gets, and what memory it needs.

    .venv/bin/python bench/report.py SPEC IMAGES     (10,000 by default)

SPEC is one whose run is complete in `results/`. Its folder is copied; the predictions of the copy are repeated up to
IMAGES rows, so that the figures, tables and the gallery are made from that many. Writes bench/results/report.json.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from secateur.run import run_of
from secateur.spec import load_spec
from secateur.steps.report import report

TARGET = Path(__file__).parent / "results/report.json"


def main(spec: Path, images: int) -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder:
        run = run_of(spec.stem, load_spec(spec), ".")
        copy = run_of(spec.stem, load_spec(spec, [f"results_dir={folder}/results"]), folder)
        shutil.copytree(run.results, copy.results)
        for path in (copy.results / "evaluate").glob("*/predictions.csv"):
            table = pd.read_csv(path, dtype={"class": str, "predicted": str})
            chosen = np.random.default_rng(0).integers(0, len(table), images)
            table.iloc[chosen].to_csv(path, index=False)
        started = time.monotonic()
        text = report(copy, sys.stderr)
        seconds = time.monotonic() - started
    found = {
        "test_images": images,
        "classes": text.count('<tr data-class="'),
        "seconds": round(seconds, 1),
        "bytes": len(text.encode()),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    TARGET.write_text(json.dumps(found, indent=2) + "\n")
    print(found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10_000)
