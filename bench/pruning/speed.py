"""How long pruning takes and how much memory: resnet_50, the budget solver, and graphs of up to 1,000 layers.

    .venv/bin/python bench/pruning/speed.py [--out bench/pruning/speed.json]

Every case runs in a process of its own, which builds the network, notes its memory, prunes, and notes the time and
the largest memory of the process. CPU seconds are given beside wall seconds: the machine is shared. Keras itself cannot
build a chain of much more than 1,000 layers (its own recursion).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet_50, threshold": ("resnet_50", {"threshold": 0.5}),
    "resnet_50, target_macs": ("resnet_50", {"target_macs": 0.5}),
    "resnet_50, target_macs, global": ("resnet_50", {"target_macs": 0.5, "ranking": "global"}),
    "resnet_50, target_size_mb": ("resnet_50", {"target_size_mb": 40}),
    "resnet_50, target_latency_ms": ("resnet_50", {"target_latency_ms": 30}),
    **{f"{depth} layers, target_macs": (str(depth), {"target_macs": 0.5}) for depth in (125, 250, 500, 1000)},
}


def main() -> None:
    """Run all cases; print and write their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case")
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measured(*CASES[options.case])))
        return
    found = {}
    for name in CASES:
        done = subprocess.run([sys.executable, __file__, "--case", name], capture_output=True, text=True, check=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
        print(name, found[name], flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


def measured(network: str, section: dict[str, Any]) -> dict[str, float]:
    """One case in this process."""
    from secateur.runtime.import_hooks import skip_unused_imports

    skip_unused_imports()  # as the command and every step begin
    import keras
    import numpy as np
    from secateur.pruning import prune
    from secateur.spec import ModelSpec, PruneSpec
    from secateur.zoo import build

    keras.utils.set_random_seed(0)
    if network.isdigit():
        model = deep(int(network))
        section = {**section, "granularity": 1, "min_num_filters": 1}
    else:
        model = build(ModelSpec(arch=network, input_image_size=(3, 224, 224), use_batch_norm=True), 10)
    for layer in model.layers:  # norms that differ, as training leaves them
        if layer.weights and len(layer.weights[0].shape) == 4:
            kernel, *rest = layer.get_weights()
            layer.set_weights([kernel * np.random.default_rng(0).uniform(0.2, 1, kernel.shape[-1]), *rest])
    before = memory_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    _, report = prune(model, PruneSpec(**section))
    return {
        "layers": len(model.layers),
        "wall_s": round(time.perf_counter() - wall, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "memory_before_mb": before,
        "memory_peak_mb": memory_mb(),
        "macs_kept": round(report.after.macs / report.before.macs, 4),
        "params_kept": round(report.after.params / report.before.params, 4),
    }


def memory_mb() -> int:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def deep(count: int) -> Any:
    """A residual chain of about `count` layers."""
    import keras
    from keras import layers

    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(64, 3, padding="same")(x)
    for index in range(int(count / 3.5)):
        own = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(64, 1)(x)))
        x = layers.Add()([x, own]) if index % 2 else own
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


if __name__ == "__main__":
    main()
