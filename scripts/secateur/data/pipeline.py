"""Batches for training and evaluation, the same for every backend.

What a batch holds depends on the seed, the epoch and the position alone, not on the number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
from numpy.typing import NDArray

from secateur.data.augment import augment, mixup
from secateur.data.images import Pixels, UnreadableImageError, fit, preprocess, read_image
from secateur.errors import DataError
from secateur.spec import AugmentSpec, DataSpec, ModelSpec

Batch = tuple[Pixels, NDArray[np.float32]]
# Batches made ahead of the one in use: enough to hide one slow batch, little memory.
BATCHES_AHEAD = 4
SHUFFLE_STREAM, SAMPLE_STREAM, MIXUP_STREAM = 0, 1, 2


class ImageReader:
    """Turns image files into network input for one spec.

    Args:
        data, augmentation, model: sections of the spec.
        workers: threads that decode images.
    """

    def __init__(self, data: DataSpec, augmentation: AugmentSpec, model: ModelSpec, workers: int) -> None:
        self.data = data
        self.augmentation = augmentation
        self.model = model
        self.pool = ThreadPoolExecutor(max_workers=workers)

    def read(self, path: str) -> Pixels:
        """One image as evaluation sees it: float32 [height, width, channels], scaled. Raises UnreadableImageError."""
        pixels = fit(read_image(path, self.model), self.model, self.augmentation.enable_center_crop)
        return self.scaled(pixels)

    def read_augmented(self, path: str, rng: np.random.Generator) -> Pixels:
        """One image as training sees it. Raises UnreadableImageError."""
        return self.scaled(augment(read_image(path, self.model), self.model, self.augmentation, rng))

    def scaled(self, pixels: Pixels) -> Pixels:
        """Pixels scaled by the spec's preprocess_mode."""
        return preprocess(pixels, self.data.preprocess_mode, self.data.image_mean, self.model.input_image_depth)


class ImageBatches(keras.utils.PyDataset):
    """Batches in order, as validation, evaluation and inference read them.

    Args:
        reader: turns files into pixels.
        paths: image files.
        labels: class indices, one a path.
        classes: number of classes.
        batch_size: images a batch; the last batch may be smaller.
    """

    def __init__(
        self, reader: ImageReader, paths: Sequence[str], labels: Sequence[int], classes: int, batch_size: int
    ) -> None:
        # Two threads: one batch is made while another is handed over. Images are read by the reader's pool.
        super().__init__(workers=2, max_queue_size=BATCHES_AHEAD)
        self.reader = reader
        self.paths = list(paths)
        self.one_hot = np.eye(classes, dtype=np.float32)[np.asarray(labels, dtype=np.int64)]
        self.batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.paths) / self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        chosen = range(index * self.batch_size, min((index + 1) * self.batch_size, len(self.paths)))
        images = list(self.reader.pool.map(self._pixels, chosen))
        return np.stack(images), self.one_hot[list(chosen)]

    def _pixels(self, position: int) -> Pixels:
        path = self.paths[position]
        try:
            return self.reader.read(path)
        except UnreadableImageError as error:
            raise DataError(f"{path}: {error.message}", "the file changed after split; run again") from error


class TrainingBatches(ImageBatches):
    """Batches of one epoch: shuffled, augmented and mixed.

    Args:
        seed: `train.random_seed`.
        epoch: from 0; another epoch is another order and other draws.
        The rest as in `ImageBatches`.
    """

    def __init__(
        self,
        reader: ImageReader,
        paths: Sequence[str],
        labels: Sequence[int],
        classes: int,
        batch_size: int,
        seed: int,
        epoch: int,
    ) -> None:
        super().__init__(reader, paths, labels, classes, batch_size)
        self.seed = seed
        self.epoch = epoch
        self.order = self._rng(SHUFFLE_STREAM).permutation(len(self.paths))

    def __getitem__(self, index: int) -> Batch:
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        images = np.stack(list(self.reader.pool.map(self._pixels, chosen)))
        alpha = self.reader.augmentation.mixup_alpha
        return mixup(images, self.one_hot[chosen], alpha, self._rng(MIXUP_STREAM, index))

    def _pixels(self, position: int) -> Pixels:
        path = self.paths[position]
        try:
            return self.reader.read_augmented(path, self._rng(SAMPLE_STREAM, int(position)))
        except UnreadableImageError as error:
            raise DataError(f"{path}: {error.message}", "the file changed after split; run again") from error

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, self.epoch, *stream))


class Rest(keras.utils.PyDataset):
    """The batches of `whole` from number `first` on."""

    def __init__(self, whole: keras.utils.PyDataset, first: int) -> None:
        super().__init__(workers=whole.workers, max_queue_size=whole.max_queue_size)
        self.whole, self.first = whole, first

    def __len__(self) -> int:
        return len(self.whole) - self.first

    def __getitem__(self, index: int) -> Batch:
        batch: Batch = self.whole[self.first + index]
        return batch
