"""Images per second of training on a CPU with oneDNN, as secateur's steps set it, and as TensorFlow comes.

    .venv/bin/python bench/cpu.py --images ../shared/data/clothing --work WORK [--out bench/results/cpu.json]

Each case trains in a process of its own, by the product's loop on real images in memory, validation included; two
rounds, the second in the opposite order, of which the faster counts. Page faults and the largest memory are of the
whole process. The decoded images are kept in WORK.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
sys.path.insert(0, str(Path(__file__).parent / "pruning"))

from secateur.runtime.onednn import ONEDNN

ARCHS = ("resnet_18", "mobilenet_v2", "efficientnet-b0")
CASES: dict[str, dict[str, str]] = {"as TensorFlow comes": {}, "oneDNN": {ONEDNN: "1"}}
IMAGES, EPOCHS = 640, 3


def main() -> None:
    """Measure each case twice and print; write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--arch", nargs="*", default=ARCHS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measured(options.arch[0], options.images, options.work)))
        return
    result = {arch: compared(arch, options.images, options.work) for arch in options.arch}
    result["conditions"] = conditions()
    print(json.dumps(result, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def compared(arch: str, images: Path, work: Path) -> dict[str, dict[str, float]]:
    """The faster of two rounds of each case, and its ratio to the first."""
    rounds = [*CASES, *reversed(CASES)]
    found: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
    for case in rounds:
        found[case].append(_in_process(arch, case, images, work))
    best = {case: max(rows, key=lambda row: row["images_per_second"]) for case, rows in found.items()}
    plain = best["as TensorFlow comes"]["images_per_second"]
    return {case: {**row, "ratio": round(row["images_per_second"] / plain, 2)} for case, row in best.items()}


def _in_process(arch: str, case: str, images: Path, work: Path) -> dict[str, float]:
    inherited = {name: value for name, value in os.environ.items() if name != ONEDNN}
    environment = {**inherited, "TF_CPP_MIN_LOG_LEVEL": "3", **CASES[case]}
    given = ["--images", str(images), "--work", str(work), "--arch", arch, "--case", case]
    command = [sys.executable, __file__, *given]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    row = json.loads(done.stdout.splitlines()[-1])
    print(arch, case, row, file=sys.stderr, flush=True)
    return row


def measured(arch: str, images: Path, work: Path) -> dict[str, float]:
    """The fastest epoch of one training in this process."""
    from secateur.spec import ModelSpec
    from secateur.training.loop import Trainer
    from secateur.training.overrides import configured
    from secateur.zoo import build
    from setup import OPTIONS, SIZE, Batches, Images, load_images, train_section

    data = load_images(images, work)
    train = Images(data["train"].pixels[:IMAGES], data["train"].labels[:IMAGES])
    spec = ModelSpec(arch=arch, input_image_size=(3, SIZE, SIZE), **OPTIONS[arch])
    section = train_section(EPOCHS)
    epochs: list[float] = []
    Trainer(
        model=configured(build(spec, train.labels.shape[1]), section),
        train_spec=section,
        batches=lambda epoch: Batches(train),
        validation=Batches(data["validation"], batch=256),
        images=IMAGES,
        stream=io.StringIO(),
        on_epoch=lambda row, seconds: epochs.append(seconds),
    ).run()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "images_per_second": round(IMAGES / min(epochs), 1),
        "user_seconds": round(usage.ru_utime, 1),
        "system_seconds": round(usage.ru_stime, 1),
        "page_faults": usage.ru_minflt,
        "largest_memory_mb": round(usage.ru_maxrss / 1024),
    }


def conditions() -> dict[str, object]:
    """Of this run."""
    return {
        "training": f"{IMAGES} images an epoch, 64x64, batch 32, {EPOCHS} epochs; the fastest epoch counts",
        "cpu": _cpu(),
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{name: version(name) for name in ("keras", "tensorflow")},
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    found = {name.strip(): value.strip() for name, value in fields.items()}
    wide = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "amx_int8") if flag in found["flags"].split()]
    return f"{found['model name']}, {' '.join(wide)}"


if __name__ == "__main__":
    main()
