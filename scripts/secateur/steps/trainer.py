"""Make a trainer from the files of a run."""

from __future__ import annotations

from typing import IO, Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secateur.data.manifest import rows_of_split
from secateur.data.pipeline import ImageBatches, ImageReader, TrainingBatches
from secateur.errors import DataError, SpecError
from secateur.run import Run
from secateur.spec import RetrainSpec, TrainSpec
from secateur.steps.fitted_model import fitted_model
from secateur.steps.run_images import images_of
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
    """A trainer for the images of a run.

    Args:
        run: the run with the images and the key.
        step: name for messages and errors.
        section: `train` or `retrain`.
        model: the model to train.
        manifest: images and splits.
        classes: names in index order.
        more: other attributes of the trainer.

    Raises:
        DataError: there are fewer training images than a batch holds.
    """
    spec = run.spec
    reader = ImageReader(spec.data, spec.augment, spec.model, section.n_workers)
    rows, labels = rows_of_split(manifest, "train", classes)
    val_rows, val_labels = rows_of_split(manifest, "val", classes)
    size = section.batch_size
    if size > len(rows):
        raise DataError(
            f"{_batch_in_words(step, section)}, but there are {len(rows)} training images",
            f"set {step}.batch_size_per_gpu to {len(rows) // section.gpus} or less",
        )
    images = images_of(run, reader, rows, training=True)
    weights = class_weights(section, step, labels, classes)
    return Trainer(
        model=model,
        train_spec=section,
        batches=lambda epoch: TrainingBatches(
            reader, images, labels, len(classes), size, section.random_seed, epoch, spec.data.sampling, weights
        ),
        validation=ImageBatches(reader, images_of(run, reader, val_rows), val_labels, len(classes), size),
        images=len(rows),
        step=step,
        **more,
    )


def _batch_in_words(step: str, section: TrainSpec) -> str:
    if section.gpus == 1:
        return f"{step}.batch_size_per_gpu is {section.batch_size}"
    return f"{step}.batch_size_per_gpu times {step}.gpus is {section.batch_size}"


def class_weights(section: TrainSpec, step: str, labels: list[int], classes: list[str]) -> NDArray[np.float32] | None:
    """The loss weight per class, float32 [classes]; None if all weights are 1.

    `balanced` is images / (classes * images of the class), so that the mean over all images is 1 (King and Zeng,
    Logistic Regression in Rare Events Data, 2001; scikit-learn uses the same word).

    Raises:
        SpecError: the spec has a weight for a class that is not in the class map.
    """
    if section.class_weights == "none":
        return None
    if section.class_weights == "balanced":
        counts = np.bincount(labels, minlength=len(classes))
        return np.asarray(len(labels) / (len(classes) * counts), np.float32)
    unknown = sorted(section.class_weights.keys() - set(classes))
    if unknown:
        raise SpecError(
            f"{step}.class_weights names {', '.join(unknown)}, which is not a class",
            f"the classes are {', '.join(classes)}",
        )
    return np.array([section.class_weights.get(name, 1.0) for name in classes], np.float32)


def teacher_of(run: Run, section: TrainSpec, step: str, stream: IO[str]) -> keras.Model | None:
    """The unpruned model, if the section has `distill`; else None. Raises ModelError if it does not fit the run."""
    if not isinstance(section, RetrainSpec) or section.distill is None:
        return None
    return fitted_model(run, run.model_to_prune, step, stream, same_input=True).model
