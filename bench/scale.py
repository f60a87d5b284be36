"""What a dry run costs with many experiments: seconds and memory, and a run that has nothing to do.

    .venv/bin/python bench/scale.py [--experiments 1 100 500] [--out bench/results/scale.json]

Each experiment has a seed of its own, so that only the images are shared: eight jobs each. With all results in place
(made by scripts that only write names, as in tests/workflow) it also times the run that has nothing to do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.workflows import stand_in

SPEC = {
    "key": "env:SECATEUR_KEY",
    "data": {"source": "images", "preprocess_mode": "tf"},
    "model": {"arch": "resnet_10", "input_image_size": [3, 32, 32], "use_batch_norm": True},
    "inference": {"image_dir": "images/a"},
}


def project(folder: Path, experiments: int) -> None:
    """A project with so many experiments on a handful of images."""
    for name in ("a", "b"):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (32, 32), (number, 0, 0)).save(folder / "images" / name / f"{number}.png")
    (folder / "config").mkdir()
    names = {}
    for number in range(experiments):
        spec = {**SPEC, "train": {"random_seed": number}}
        path = folder / "specs" / f"e{number:04d}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(spec))
        names[path.stem] = f"specs/{path.name}"
    (folder / "config/config.yaml").write_text(yaml.safe_dump({"experiments": names}))


def timed(folder: Path, snakefile: Path, *words: str) -> tuple[dict[str, float], str]:
    """Wall and processor seconds and peak memory in MB; and what Snakemake printed."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["SECATEUR_KEY"] = "bench"
    command = [sys.executable, "-m", "snakemake", "-s", str(snakefile), "-d", str(folder), "--cores", "2", *words]
    started = time.monotonic()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    )
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(text[-3000:])
    taken = {
        "s": round(time.monotonic() - started, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "mb": round(usage.ru_maxrss / 1000),
    }
    return taken, text


def measured(experiments: int, finish: bool) -> dict[str, float | int]:
    """One row."""
    with tempfile.TemporaryDirectory() as work:
        folder, workflow = Path(work) / "project", Path(work) / "workflow"
        folder.mkdir()
        workflow.mkdir()
        project(folder, experiments)
        snakefile = stand_in(workflow)
        timed(folder, snakefile, "-n", "-q")
        dry, text = timed(folder, snakefile, "-n")
        jobs = int(next(line for line in text.splitlines() if line.startswith("total")).split()[1])
        row: dict[str, float | int] = {
            "experiments": experiments,
            "jobs": jobs,
            **{f"dry_run_{name}": value for name, value in dry.items()},
        }
        if finish:
            timed(folder, snakefile)
            idle, text = timed(folder, snakefile)
            assert "Nothing to be done" in text
            row |= {f"nothing_to_do_{name}": value for name, value in idle.items()}
        return row


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, nargs="+", default=[1, 100, 500])
    parser.add_argument("--finish", type=int, default=1, help="up to so many experiments are also run to the end")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for count in options.experiments:
        rows.append(measured(count, count <= options.finish))
        print(rows[-1], flush=True)
    cores, limit = os.cpu_count(), resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    about = {"python": platform.python_version(), "cores": cores, "open_files": limit, "load": os.getloadavg()[0]}
    if options.out:
        options.out.write_text(json.dumps({"conditions": about, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
