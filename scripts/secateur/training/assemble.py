"""Put a trainer together from the files of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pandas as pd

from secateur.data.pipeline import ImageBatches, ImageReader, TrainingBatches
from secateur.errors import DataError
from secateur.modelfile import load_model
from secateur.run import Run
from secateur.spec import RetrainSpec, TrainSpec
from secateur.training.loop import Trainer


def trainer_of(
    run: Run,
    step: str,
    section: TrainSpec,
    model: keras.Model,
    manifest: pd.DataFrame,
    classes: list[str],
    **more: Any,
) -> Trainer:
    """A trainer on the run's images.

    Args:
        run: whose images and key.
        step: name for people and errors.
        section: `train` or `retrain`.
        model: what to train.
        manifest: images and splits.
        classes: names in index order.
        more: other attributes of the trainer.

    Raises:
        DataError: fewer training images than a batch holds.
    """
    spec = run.spec
    reader = ImageReader(spec.data, spec.augment, spec.model, section.n_workers)
    paths, labels = rows_of_split(manifest, "train", classes)
    val_paths, val_labels = rows_of_split(manifest, "val", classes)
    size = section.batch_size_per_gpu
    if size > len(paths):
        raise DataError(
            f"{step}.batch_size_per_gpu is {size}, but there are {len(paths)} training images",
            f"set {step}.batch_size_per_gpu to {len(paths)} or less",
        )
    return Trainer(
        model=model,
        section=section,
        batches=lambda epoch: TrainingBatches(reader, paths, labels, len(classes), size, section.random_seed, epoch),
        validation=ImageBatches(reader, val_paths, val_labels, len(classes), size),
        images=len(paths),
        step=step,
        **more,
    )


def teacher_of(run: Run, section: TrainSpec) -> keras.Model | None:
    """The unpruned model, where the section distils."""
    if not isinstance(section, RetrainSpec) or section.distill is None:
        return None
    return load_model(unpruned_model(run), run.key)[0]


def unpruned_model(run: Run) -> Path:
    """The model that the prune section cuts."""
    path = run.spec.prune.model_path if run.spec.prune else None
    # The final model comes after pruning: when pruning starts, EVALMODEL is the trained one.
    return run.model("train") if path in (None, "EVALMODEL") else run.resolve(path, run.model("train"))


def rows_of_split(manifest: pd.DataFrame, split: str, classes: list[str]) -> tuple[list[str], list[int]]:
    """Paths and class indices of the images of one split."""
    index = {name: position for position, name in enumerate(classes)}
    rows = manifest[manifest["split"] == split]
    return rows["path"].tolist(), [index[name] for name in rows["class"]]
