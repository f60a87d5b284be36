"""The training images that pruning reads."""

from __future__ import annotations

import numpy as np
import pandas as pd

from secateur.data.manifest import rows_of_split
from secateur.data.pipeline import ImageBatches, ImageFiles, ImageReader
from secateur.pruning.taylor import LabelledImages
from secateur.run import Run
from secateur.spec import PruneSpec


def pruning_images(run: Run, section: PruneSpec, manifest: pd.DataFrame, classes: list[str]) -> LabelledImages:
    """Random training images (`prune.images`, `prune.random_seed`), prepared as in evaluation; all if there are fewer.

    Raises:
        DataError: an image cannot be read.
    """
    rows, labels = rows_of_split(manifest, "train", classes)
    chosen = np.sort(np.random.default_rng(section.random_seed).permutation(len(rows))[: section.images])
    reader = ImageReader(run.spec.data, run.spec.augment, run.spec.model, run.spec.train.n_workers)
    images = ImageFiles(reader, rows["path"].iloc[chosen].tolist(), training=False)
    batches = ImageBatches(reader, images, [labels[i] for i in chosen], len(classes), run.spec.train.batch_size_per_gpu)
    read = [batches[index] for index in range(len(batches))]
    # A manifest is sorted by class. Its rows are shuffled, so that every batch of statistics has several classes.
    order = np.random.default_rng(section.random_seed).permutation(len(chosen))
    pixels, one_hot = (np.concatenate(parts) for parts in zip(*read, strict=True))
    return LabelledImages(pixels[order], one_hot[order])
