"""Memory of a training step and of a prediction on the CPU, and what every backbone keeps of an image.

    .venv/bin/python bench/memory.py [--out bench/results/memory.json]

`scripts/secateur/workflow/resources.py` takes its numbers from here. Each case is a process of its own: the largest
resident memory of two steps of a batch, after one step that is not counted. Bytes a pixel are the difference between
the batches divided by the difference in pixels. For all backbones the layers' outputs are counted, not run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from secateur.runtime.import_hooks import skip_unused_imports
from secateur.runtime.onednn import use_onednn
from secateur.spec import ModelSpec, TrainSpec
from secateur.spec.architectures import ARCHITECTURES, FIXED, family_name

# Backbone, side of the image, two batches.
CASES = (
    ("resnet_18", 64, 16, 64),
    ("resnet_18", 224, 4, 12),
    ("mobilenet_v2", 64, 16, 64),
    ("efficientnet-b0", 64, 16, 64),
)
CLASSES, COUNTED_SIDE = 20, 224
MB = 1e6


def main() -> None:
    """Measure each case and count every backbone; write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    skip_unused_imports()
    use_onednn(os.environ)
    if options.case:
        print(json.dumps(measured(*CASES[int(options.case)])))
        return
    result = {"measured": [in_process(number) for number in range(len(CASES))], "counted": counted()}
    print(json.dumps(result, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def in_process(number: int) -> dict[str, object]:
    """One case in a process of its own."""
    command = [sys.executable, __file__, "--case", str(number)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    row: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    print(row, file=sys.stderr, flush=True)
    return row


def measured(arch: str, side: int, small: int, large: int) -> dict[str, object]:
    """Largest memory in MB of a prediction and a training step with two batches, and the bytes that a pixel adds."""
    import numpy as np
    from secateur.training.compiling import compile_for_training

    base = peak_mb()
    model = built(arch, side)
    learner = compile_for_training(model, TrainSpec(optim_config={"optimizer": "adam"}), 10)
    rng = np.random.default_rng(0)
    given = [
        (rng.normal(size=(n, side, side, 3)).astype(np.float32), rng.integers(0, CLASSES, n)) for n in (small, large)
    ]
    batches = [(images, np.eye(CLASSES, dtype=np.float32)[labels]) for images, labels in given]
    # Predictions first: what a training had comes back to the system late.
    peaks = {"predict": [largest(lambda images=images: learner.predict_on_batch(images)) for images, _ in batches]}
    peaks["train"] = [largest(lambda batch=batch: learner.train_on_batch(*batch)) for batch in batches]
    pixels = (large - small) * side * side
    return {
        "arch": arch,
        "side": side,
        "batches": [small, large],
        "imported_mb": base,
        "parameters": model.count_params(),
        **{f"{name}_mb": found for name, found in peaks.items()},
        **{f"{name}_bytes_a_pixel": round((b - a) * MB / pixels) for name, (a, b) in peaks.items()},
    }


def built(arch: str, side: int):
    """A fresh network, with the batch normalisation that its family can have."""
    from secateur.zoo import build

    can = FIXED[family_name(arch)].get("use_batch_norm", (True,))[0]
    return build(ModelSpec(arch=arch, input_image_size=(3, side, side), use_batch_norm=can), CLASSES)


def largest(step) -> float:
    """Largest resident memory in MB of two steps, after one that traces."""
    step()
    # Linux forgets the largest value so far.
    Path("/proc/self/clear_refs").write_text("5")
    step()
    step()
    return peak_mb()


def peak_mb() -> float:
    """Largest resident memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return round(kilobytes * 1024 / MB)


def counted() -> dict[str, dict[str, int]]:
    """Of every backbone: bytes a pixel of the outputs of its layers, and its parameters."""
    found = {}
    for arch in ARCHITECTURES:
        model = built(arch, COUNTED_SIDE)
        outputs = [layer.output for layer in model.layers if layer.__class__.__name__ != "InputLayer"]
        numbers = sum(_size(output.shape[1:]) for output in outputs)
        found[arch] = {"bytes_a_pixel": round(numbers * 4 / COUNTED_SIDE**2), "parameters": model.count_params()}
        print(arch, found[arch], file=sys.stderr, flush=True)
    return found


def _size(shape) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


if __name__ == "__main__":
    main()
