"""Learning rates for what `secateur new` writes: training and retraining, compared on one network cut to half its MACs.

    .venv/bin/python bench/pruning/rates.py --images ../shared/data/clothing --work WORK [--out CSV] \
        [--where "seed == 1"]

resnet_18 at 64x64 with the spec's epochs, weight decays and cut (`bn_scale`, `uniform`, half of the MACs). Accuracy of
the last epoch's weights on validation and test images together (713). Every cell is a row of the CSV as soon as it is
done; stopped and started again, the script does what is missing. Several processes can write to one CSV at the same
time, each with its own `--where`, a pandas query over seed, per_class, train_rate, retrain_rate.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.update(TF_CPP_MIN_LOG_LEVEL="2", TF_ENABLE_ONEDNN_OPTS="1")
os.environ.update(OMP_NUM_THREADS="1", TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))

import keras
import kernels
import numpy as np
import pandas as pd
from secateur.pruning import prune
from secateur.spec import PruneSpec, RetrainSpec, TrainSpec
from setup import Images, accuracy, append_rows, load_images, network, rows_done, train_section, trained

ARCH = "resnet_18"
# Training images a class (0: all) and the epochs of training and retraining that `secateur new` writes for so many.
EPOCHS = {0: (15, 7), 30: (60, 30)}
DECAY, DECAY_AGAIN = 0.001, 0.00005
CELLS = pd.DataFrame(
    [
        (seed, per_class, rate, again)
        for seed in (1, 2)
        for per_class in EPOCHS
        for rate in (0.001, 0.004, 0.002)
        for again in (0.0, rate / 2, rate, 0.004)  # 0: before the cut
    ],
    columns=["seed", "per_class", "train_rate", "retrain_rate"],
).drop_duplicates()


def main() -> None:
    """Do what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--where", default="seed > 0")
    options = parser.parse_args()
    kernels.use()
    data = load_images(options.images, options.work)
    for cell in CELLS.query(options.where).itertuples(index=False, name=None):
        if cell in rows_done(options.out, list(CELLS.columns)):
            continue
        keras.backend.clear_session()
        right, images = _measured(*cell, data, options.work)
        append_rows(options.out, [{**dict(zip(CELLS.columns, cell, strict=True)), "right": right, "images": images}])


def _measured(
    seed: int, per_class: int, rate: float, again: float, data: dict[str, Images], work: Path
) -> tuple[int, int]:
    if per_class:
        data = {**data, "train": few(data["train"], per_class)}
    epochs, epochs_again = EPOCHS[per_class]
    path = work / f"rates-{ARCH}-{seed}-{per_class}-{rate}.tlt"
    model = network(ARCH, seed, section(epochs, DECAY, rate), data, path)
    if again:
        model = retrained(model, seed, section(epochs_again, DECAY_AGAIN, again), data)
    return accuracy(model, data)


def few(images: Images, per_class: int) -> Images:
    """The first images of every class."""
    chosen = np.concatenate([np.flatnonzero(one)[:per_class] for one in images.labels.T])
    return Images(images.pixels[chosen], images.labels[chosen])


def retrained(model: keras.Model, seed: int, train_spec: TrainSpec, data: dict[str, Images]) -> keras.Model:
    """Cut to half of the MACs and retrained."""
    narrow, _ = prune(model, PruneSpec(target_macs=0.5, importance="bn_scale", ranking="uniform"))
    return trained(narrow, RetrainSpec(**train_spec.model_dump()), data, seed).model


def section(epochs: int, decay: float, rate: float) -> TrainSpec:
    """As the other benchmarks train, with this weight decay."""
    usual = train_section(epochs, rate)
    return usual.model_copy(update={"reg_config": usual.reg_config.model_copy(update={"weight_decay": decay})})


if __name__ == "__main__":
    main()
