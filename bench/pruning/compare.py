"""Ways to choose channels, compared: accuracy right after the cut and after short retraining.

    .venv/bin/python bench/pruning/compare.py --images ../shared/data/clothing --work WORK \
        [--arch resnet_18] [--where "seed == 1 and epochs == 4"] [--out CSV]

One unpruned network a seed (20 epochs), cut to 75, 50, 25 and 10 % of its MACs by each importance and ranking and by
the random control, in one cut or in several that measure importance again, then retrained for 4 epochs with and
without distillation;
one schedule of 4 epochs, looked at after epoch 1 and 4. All accuracies are of the last epoch's weights on validation
and test images together (713), so that nothing was chosen by what it is measured on. For 25 and 10 % also after 20
epochs, against a network of that size from scratch; after 4 epochs also with a higher learning rate. Every cell is a
row of the CSV as soon as it is done; stopped and started again, the script does what is missing. The unpruned networks
are kept in WORK. Several processes can write to one CSV at the same time, each with its own `--where`, a pandas query
over the fields of `Cell`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import NamedTuple

os.environ.update(TF_CPP_MIN_LOG_LEVEL="2", TF_ENABLE_ONEDNN_OPTS="1")
# Two processes on two cores are faster than one on both, and one thread adds in the same order every time.
os.environ.update(OMP_NUM_THREADS="1", TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))

import keras
import kernels
import numpy as np
import pandas as pd
import psutil
from secateur.pruning.stepwise import Stepwise
from secateur.pruning.taylor import LabelledImages
from secateur.spec import PruneSpec, RetrainSpec
from setup import Images, accuracy, append_rows, base_model, load_images, rows_done, train_section, trained


class Method(NamedTuple):
    """A way to choose channels."""

    importance: str
    ranking: str
    steps: int = 1


SEEDS = (1, 2, 3)
UNPRUNED = Method("none", "none")
BASE_EPOCHS, SHORT, LONG = 20, 4, 20
BUDGETS = (0.25, 0.5, 0.1, 0.75)
# What wins, TAO's way and the control.
TELLING = (Method("bn_scale", "uniform"), Method("l2", "layer"), Method("random", "layer"))
_PAIRS = itertools.product(("taylor", "l2", "bn_scale"), ("global", "layer"))
GRID = tuple(dict.fromkeys((*TELLING, *itertools.starmap(Method, _PAIRS))))
_UNIFORM = (Method("taylor", "uniform"), Method("l2", "uniform"))
METHODS = (*GRID, *_UNIFORM, Method("taylor", "global", 4), Method("taylor", "uniform", 4))
LOOKED_AT = 512
# TensorFlow keeps data of each network, some 50 MB per training; then the process is started again.
LARGEST = 4_000_000_000
DISTILL = {"alpha": 0.5, "temperature": 4.0}
RATE, HIGHER = 0.001, 0.004


@dataclass(frozen=True)
class Cell:
    """One training, or none when `epochs` is 0."""

    arch: str
    seed: int
    budget: float
    importance: str
    ranking: str
    steps: int
    recalibrated: bool
    distilled: bool
    epochs: int
    learning_rate: float


def cells(arch: str) -> Iterator[Cell]:
    """All of them, the most telling first."""
    for seed in SEEDS:
        yield Cell(arch, seed, 1.0, *UNPRUNED, False, False, 0, 0.0)
    yield from _short(arch, TELLING, (False,))
    yield from _long(arch, (*TELLING, Method("scratch", "uniform")))
    for seed, budget, method, again in itertools.product(SEEDS, BUDGETS, METHODS, (False, True)):
        yield Cell(arch, seed, budget, *method, again, False, 0, 0.0)
    yield from _short(arch, METHODS, (False,))
    yield from _short(arch, TELLING, (True,))
    yield from _short(arch, GRID, (True,))
    yield from _long(arch, (Method("taylor", "global"), Method("scratch", "layer")))
    yield from _rates(arch)


def _long(arch: str, methods: Sequence[Method]) -> Iterator[Cell]:
    for budget, seed, method in itertools.product((0.25, 0.1), SEEDS, methods):
        yield Cell(arch, seed, budget, *method, True, False, LONG, RATE)


def _short(arch: str, methods: Sequence[Method], taught: Sequence[bool]) -> Iterator[Cell]:
    for distilled, budget, seed, method in itertools.product(taught, BUDGETS, SEEDS, methods):
        yield Cell(arch, seed, budget, *method, True, distilled, SHORT, RATE)


def _rates(arch: str) -> Iterator[Cell]:
    """A higher learning rate, others beside it for one way, and what more training does to the unpruned network."""
    for budget, seed, method in itertools.product(BUDGETS, SEEDS, TELLING):
        yield Cell(arch, seed, budget, *method, True, False, SHORT, HIGHER)
    for seed, rate in itertools.product(SEEDS, (RATE, HIGHER)):
        yield Cell(arch, seed, 1.0, *UNPRUNED, False, False, SHORT, rate)
    for seed, rate in itertools.product(SEEDS, (0.002, 0.008)):
        yield Cell(arch, seed, 0.25, *TELLING[0], True, False, SHORT, rate)


def main() -> None:
    """Do what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--arch", default="resnet_18")
    parser.add_argument("--where")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out = options.out or Path(__file__).parent / f"compare-{options.arch}.csv"
    kernels.use()
    data = load_images(options.images, options.work)
    for cell in _chosen(options.arch, options.where):
        if astuple(cell) not in rows_done(out, list(Cell.__annotations__)):
            append_rows(out, _rows(cell, data, options.work))
            if psutil.Process().memory_info().rss > LARGEST:
                os.execv(sys.executable, [sys.executable, *sys.argv])


def _chosen(arch: str, where: str | None) -> list[Cell]:
    every = list(cells(arch))
    return [every[index] for index in pd.DataFrame(every).query(where).index] if where else every


def _rows(cell: Cell, data: dict[str, Images], work: Path) -> list[dict[str, object]]:
    keras.backend.clear_session()
    base = base_model(cell.arch, cell.seed, BASE_EPOCHS, data, work)
    model, macs, params = _cut(base, cell, data)
    right, count = accuracy(model, data)
    first = {"after_epochs": cell.epochs and 1, "right": right, "images": count}
    common = {**asdict(cell), "macs": macs, "params": params}
    if not cell.epochs:
        return [{**common, **first}]
    found: dict[int, int] = {}
    section = RetrainSpec(
        **train_section(cell.epochs, cell.learning_rate).model_dump(), distill=DISTILL if cell.distilled else None
    )

    def look(trainer: object, row: dict[str, float]) -> None:
        if int(row["epoch"]) in (1, SHORT, LONG):
            found[int(row["epoch"])] = accuracy(trainer.model, data)[0]

    trained(model, section, data, cell.seed, look=look, teacher=base)
    return [{**common, "after_epochs": epoch, "right": right, "images": count} for epoch, right in found.items()]


def _cut(base: keras.Model, cell: Cell, data: dict[str, Images]) -> tuple[keras.Model, int, int]:
    if cell.importance == "none":
        return base, 0, base.count_params()
    chosen = np.random.default_rng(cell.seed).permutation(len(data["train"].pixels))[:LOOKED_AT]
    images = LabelledImages(data["train"].pixels[chosen], data["train"].labels[chosen])
    spec = PruneSpec(
        target_macs=cell.budget,
        importance="l2" if cell.importance == "scratch" else cell.importance,
        ranking=cell.ranking,
        steps=cell.steps,
        step_epochs=0,
        recalibrate_bn=cell.recalibrated,
        random_seed=cell.seed,
    )
    model, report = Stepwise(base, spec, images, lambda narrow, step: narrow).run()
    if cell.importance == "scratch":  # the network that `l2` leaves, with fresh weights
        keras.utils.set_random_seed(cell.seed)
        model = keras.models.clone_model(model)
    return model, report.after.macs, report.after.params


if __name__ == "__main__":
    main()
