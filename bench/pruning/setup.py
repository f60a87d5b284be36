"""What the pruning benchmarks share: images in memory, and one trained network a seed."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from secateur.data.preprocessing import preprocess, read_fitted, to_array
from secateur.models.file import load_model, save_model
from secateur.quantization.aware import quantisation_aware
from secateur.spec import DataSpec, ModelSpec, TrainSpec
from secateur.training.checkpoints import Checkpoints
from secateur.training.loop import Trainer
from secateur.training.overrides import configured
from secateur.zoo import build

SIZE, BATCH = 64, 32
KEY = "bench"
OPTIONS: dict[str, dict[str, Any]] = {
    "resnet_18": {"use_batch_norm": True},
    "mobilenet_v2": {"use_batch_norm": True},
    "efficientnet-b0": {},
}


@dataclass
class Images:
    """One split in memory: pixels float32 [images, 64, 64, 3], scaled as for training; one-hot labels."""

    pixels: np.ndarray
    labels: np.ndarray


class Batches(keras.utils.PyDataset):
    """Batches of arrays; with a generator they are shuffled, and half of the images mirrored."""

    def __init__(self, images: Images, rng: np.random.Generator | None = None, batch: int = BATCH) -> None:
        # With one, the end of an epoch sometimes waits in TensorFlow's iterator, idle, for as long as the epoch took.
        super().__init__(workers=2)
        self.images, self.batch = images, batch
        count = len(images.pixels)
        self.order = rng.permutation(count) if rng else np.arange(count)
        self.mirrored = rng.random(count) < 0.5 if rng else np.zeros(count, bool)

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.batch)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.order[index * self.batch : (index + 1) * self.batch]
        pixels = self.images.pixels[chosen]
        flips = self.mirrored[chosen]
        pixels[flips] = pixels[flips, :, ::-1]
        return pixels, self.images.labels[chosen]


def load_images(folder: Path, work: Path) -> dict[str, Images]:
    """The splits of a folder `split/class/image`; pixels are kept in `work` for the next run."""
    kept = work / "images.npz"
    if not kept.exists():
        arrays = {}
        for split in ("train", "validation", "test"):
            pixels, labels = _read(folder / split)
            arrays |= {f"{split}_pixels": pixels, f"{split}_labels": labels}
        np.savez(kept, **arrays)
    with np.load(kept) as arrays:
        return {
            split: Images(arrays[f"{split}_pixels"], arrays[f"{split}_labels"])
            for split in ("train", "validation", "test")
        }


def _read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    model = ModelSpec(arch="resnet_18", input_image_size=(3, SIZE, SIZE))
    names = sorted(path.name for path in folder.iterdir())
    pixels, labels = [], []
    for index, name in enumerate(names):
        for path in sorted((folder / name).iterdir()):
            pixels.append(preprocess(to_array(read_fitted(path, model, DataSpec(), crop=False)[0]), "torch", None, 8))
            labels.append(index)
    return np.stack(pixels), np.eye(len(names), dtype=np.float32)[labels]


def train_section(epochs: int, rate: float = 0.001, **more: Any) -> TrainSpec:
    """Adam, cosine, a usual weight decay: nothing that helps a pruner."""
    return TrainSpec(
        batch_size_per_gpu=BATCH,
        num_epochs=epochs,
        optim_config={"optimizer": "adam"},
        lr_config={"scheduler": "cosine", "learning_rate": rate, "soft_start": 0.05},
        reg_config={"type": "l2", "weight_decay": 1e-4},
        **more,
    )


def trained(
    model: keras.Model,
    train_spec: TrainSpec,
    data: dict[str, Images],
    seed: int,
    look: Callable[[Trainer, dict[str, float]], None] = lambda trainer, row: None,
    **more: Any,
) -> Trainer:
    """Train a copy of `model`; the trainer holds it with its last weights, not the best ones.

    Args:
        look: is called with the trainer after every epoch.
    """
    keras.utils.set_random_seed(seed)
    plain = configured(model, train_spec)
    trainer = Trainer(
        model=quantisation_aware(plain) if train_spec.qat else plain,
        train_spec=train_spec,
        batches=lambda epoch: Batches(data["train"], np.random.default_rng((seed, epoch))),
        validation=Batches(data["validation"], batch=256),
        images=len(data["train"].pixels),
        stream=sys.stdout,
        on_epoch=lambda row, seconds: look(trainer, row),
        **more,
    )
    state = trainer.run()
    trainer.model.set_weights(state.last_weights)
    return trainer


def base_model(arch: str, seed: int, epochs: int, data: dict[str, Images], work: Path) -> keras.Model:
    """The unpruned network of a seed, trained on the first call."""
    return network(arch, seed, train_section(epochs), data, work / f"{arch}-{seed}-{epochs}.tlt")


def network(arch: str, seed: int, train_spec: TrainSpec, data: dict[str, Images], path: Path) -> keras.Model:
    """A network of a seed, trained on the first call. The last epoch's weights: no choice by validation."""
    if not path.exists():
        spec = ModelSpec(arch=arch, input_image_size=(3, SIZE, SIZE), **OPTIONS[arch])
        keras.utils.set_random_seed(seed)
        model = build(spec, data["train"].labels.shape[1])
        checkpoints = path.with_suffix("")
        checkpoints.mkdir(parents=True, exist_ok=True)
        trainer = trained(model, train_spec, data, seed, step=path.stem, checkpoints=Checkpoints(checkpoints, KEY))
        save_model(trainer.model, path, KEY, {"classes": [], "pruned": False})
    return load_model(path, KEY)[0]


def rows_done(out: Path, names: Sequence[str]) -> set[tuple[Any, ...]]:
    """What a CSV has already, in the columns of these names; with `append_rows` a script resumes."""
    if not out.exists():
        return set()
    return set(pd.read_csv(out, keep_default_na=False)[list(names)].itertuples(index=False, name=None))


def append_rows(out: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as soon as they are measured, and say the last one."""
    pd.DataFrame(rows).to_csv(out, mode="a", header=not out.exists(), index=False)
    print(rows[-1], flush=True)


def accuracy(model: keras.Model, data: dict[str, Images]) -> tuple[int, int]:
    """Right answers on validation and test together, and how many images that is."""
    pixels = np.concatenate([data["validation"].pixels, data["test"].pixels])
    labels = np.concatenate([data["validation"].labels, data["test"].labels])
    answers = model.predict(pixels, batch_size=256, verbose=0)
    return int((answers.argmax(1) == labels.argmax(1)).sum()), len(labels)
