"""Kill a run at random moments, run it again, over and over: is anything lost or broken, is the end the same?

    .venv/bin/python bench/crash.py --work WORK [--kills 200] [--minutes 60] [--out bench/results/crash.json]

A small network on 64 images of noise goes through train, prune, retrain and export by the command line, one process a
step, as the workflow starts them; only that a process is the fork of one that has imported Keras. Each process is
killed by SIGKILL at a random moment of its work; then the same command is given again, and killed again, until it ends.
After each kill every file with a final name is opened: models, tables, JSON, checkpoints. At the end the weights of
both models are compared bit by bit with those of a run that nobody killed. WORK keeps the progress of the script:
a second run resumes.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import random
import shutil
import sys
import time
from importlib.metadata import version
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

import numpy as np
import pandas as pd
from PIL import Image
from secateur.cli.main import main as command_line
from secateur.models.archive import Archive, plain_bytes
from secateur.models.h5 import read_named_weights
from secateur.vault.files import read_encrypted

KEY = "bench"
SPEC = f"""
key: {KEY}
data: {{source: images, preprocess_mode: tf}}
model: {{arch: squeezenet, dropout: 0.2, input_image_size: [3, 32, 32]}}
train: {{num_epochs: 16, batch_size_per_gpu: 4, checkpoint_minutes: 0.02, n_workers: 1,
  optim_config: {{optimizer: adam}}, lr_config: {{learning_rate: 0.001}}}}
prune: {{target_macs: 0.5}}
retrain: {{num_epochs: 12}}
export: {{output_path: EXPORTDIR/m.etlt}}
"""
STEPS = ("train", "prune", "retrain", "export")
MODELS = ("results/one/train/model.tlt", "results/one/retrain/model.tlt")
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["keras"])


def main() -> None:
    """Kill until there were enough kills or the time is up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--attempts", type=int, default=8, help="processes a step; all but the last are killed")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    kept = options.work / "found.json"
    found: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {"rounds": [], "seconds": {}}
    whole = options.work / "whole"
    if not (whole / "done").exists():
        found["seconds"] = uninterrupted(whole)
    while sum(row["kills"] for row in found["rounds"]) < options.kills and time.monotonic() < end:
        found["rounds"].append(
            one_round(options.work / "killed", whole, found["seconds"], len(found["rounds"]), options.attempts)
        )
        kept.write_text(json.dumps(found))
        print(found["rounds"][-1], flush=True)
    report = summary(found)
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n")
    sys.exit(report["lost"] or report["corrupt"] or report["different_ends"])


def prepared(folder: Path) -> None:
    """A new folder with images and a spec."""
    shutil.rmtree(folder, ignore_errors=True)
    rng = np.random.default_rng(0)
    for name, level in (("dark", 90), ("light", 160)):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(32):
            pixels = np.clip(rng.normal(level, 60, (36, 36, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{number:02d}.png")
    (folder / "one.yaml").write_text(SPEC)


def started(folder: Path, step: str) -> ForkServerProcess:
    """A step's process."""
    process = FORKS.Process(target=run, args=(folder, step))
    process.start()
    return process


def run(folder: Path, step: str) -> None:
    """Do what the command line does."""
    printed = os.open(folder / "printed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.chdir(folder)
    sys.exit(command_line([step, "-e", "one.yaml"]))


def uninterrupted(folder: Path) -> dict[str, float]:
    """Run all steps; the seconds that each works, without the import of TensorFlow."""
    prepared(folder)
    seconds = {}
    for step in STEPS:
        process = started(folder, step)
        at_work(folder, step, process, 1)
        begun = time.monotonic()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{step} failed: {folder / 'printed'}")
        seconds[step] = time.monotonic() - begun
    (folder / "done").write_text("")
    return seconds


def at_work(folder: Path, step: str, process: ForkServerProcess, count: int) -> None:
    """Wait until the step says that it has started for the `count`th time."""
    status = folder / "results/one/status.json"
    while process.is_alive():
        lines = status.read_text().splitlines() if status.exists() else []
        if sum(f'"step": "{step}"' in line and '"STARTED"' in line for line in lines) >= count:
            return
        time.sleep(0.01)


def one_round(folder: Path, whole: Path, seconds: dict[str, float], number: int, attempts: int) -> dict[str, Any]:
    """Bring a run to its end through kills."""
    rng = random.Random(number)
    prepared(folder)
    row: dict[str, Any] = {"kills": 0, "in_step": dict.fromkeys(STEPS, 0), "lost": 0, "corrupt": [], "resumed": 0}
    for step in STEPS:
        epochs = 0
        # Each process gets a part of the time that the whole step takes, the last as long as it needs.
        for attempt in range(attempts):
            process = started(folder, step)
            at_work(folder, step, process, attempt + 1)
            process.join(rng.uniform(0, 0.5) * seconds[step] if attempt < attempts - 1 else None)
            if process.exitcode == 0:
                break
            if process.exitcode:
                raise SystemExit(f"{step} failed with {process.exitcode}: {folder / 'printed'}")
            process.kill()
            process.join()
            row["kills"] += 1
            row["in_step"][step] += 1
            row["corrupt"] += broken(folder)
            now = trained_epochs(folder, step)
            row["lost"] += now < epochs
            epochs = now
    row["resumed"] = (folder / "printed").read_text(errors="replace").count("resuming after")
    row["same_end"] = all(same(folder / path, whole / path) for path in MODELS)
    return row


def trained_epochs(folder: Path, step: str) -> int:
    """Epochs that the newest checkpoint holds; more than any other number when it is finished."""
    if (folder / "work/one" / step / "finished.age").exists():
        return sys.maxsize
    files = sorted((folder / "work/one" / step).glob("checkpoint_*.age"))
    if not files:
        return 0
    with np.load(io.BytesIO(read_encrypted(files[-1], KEY))) as arrays:
        return int(json.loads(arrays["about"].tobytes())["epoch"])


def broken(folder: Path) -> list[str]:
    """Files with a final name that cannot be read."""
    bad = []
    for path in folder.rglob("*"):
        if path.is_file() and ".tmp-" not in path.name and "images" not in path.parts:
            try:
                read(path)
            except Exception as error:
                bad.append(f"{path.name}: {error}")
    return bad


def read(path: Path) -> None:
    """Raises when a file cannot be read to its end."""
    if path.suffix == ".tlt":
        Archive(path, plain_bytes(path, KEY)).checked_weights()
    elif path.suffix in (".age", ".etlt"):
        read_encrypted(path, KEY)
    elif path.name == "status.json":
        # A line that was being written when the process died may be cut; no line after it is harmed.
        lines = path.read_text().splitlines()
        cut = [line for line in lines if not line.endswith("}")]
        if len(cut) > len(lines) // 2:
            raise ValueError("most lines are cut")
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".csv":
        pd.read_csv(path)


def same(path: Path, other: Path) -> bool:
    """Whether two models have the same weights, bit by bit."""
    one, two = weights(path), weights(other)
    return one.keys() == two.keys() and all(
        np.array_equal(here, there) for name in one for here, there in zip(one[name], two[name], strict=True)
    )


def weights(path: Path) -> dict[str, list[Any]]:
    """Of a sealed model, by layer."""
    return read_named_weights(Archive(path, plain_bytes(path, KEY)).weights, path).layers


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """The figures of all rounds."""
    rounds = found["rounds"]
    return {
        "kills": sum(row["kills"] for row in rounds),
        "kills_in_step": {step: sum(row["in_step"][step] for row in rounds) for step in STEPS},
        "rounds": len(rounds),
        "trainings_resumed": sum(row["resumed"] for row in rounds),
        "lost": sum(row["lost"] for row in rounds),
        "corrupt": sum(len(row["corrupt"]) for row in rounds),
        "different_ends": sum(not row["same_end"] for row in rounds),
        "python": platform.python_version(),
        "keras": version("keras"),
        "tensorflow": version("tensorflow"),
        "processors": os.cpu_count(),
    }


if __name__ == "__main__":
    main()
