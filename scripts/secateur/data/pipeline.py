"""Batches for training and evaluation, the same for every backend.

The content of a batch depends only on the seed, the epoch and the position, not on the number of workers.

See docs/decisions/image-input.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from secateur.data.augment import augment, mixup, training_size
from secateur.data.images import Look, Size, UnreadableImageError, no_look, read_resized
from secateur.data.preprocessing import Pixels, preprocess, read_fitted
from secateur.errors import DataError
from secateur.runtime.semaphores import have_semaphores
from secateur.spec import AugmentSpec, DataSpec, ModelSpec

# Images, one-hot labels and, if the spec has class weights, one weight per image.
Batch = tuple[NDArray[np.float32], ...]
# Batches that are prepared in advance: enough to hide one slow batch, with little memory.
BATCHES_AHEAD = 4
GONE = "it was removed or changed after split: restore it, or run split again (snakemake --forcerun split)"
# Keys of `model` and of `data` that decide what is stored per image.
STORED_BY = {"input_image_size", "input_image_depth", "resize_interpolation_method"}
STORED_BY_DATA = {"background", "value_range", "max_pixels"}
SHUFFLE_STREAM, SAMPLE_STREAM, MIXUP_STREAM = 0, 1, 2


@dataclass(frozen=True)
class Stored:
    """An image before all random steps: decoded, and resized once.

    Attributes:
        content: the image, or its pixels [height, width, channels], uint8 or float32.
        size: width and height of the upright image in its file.
    """

    content: Image.Image | NDArray[Any]
    size: Size

    @property
    def array(self) -> NDArray[Any]:
        """The pixels [height, width, channels]."""
        array = np.asarray(self.content)
        return array if array.ndim == 3 else array[:, :, np.newaxis]

    @property
    def image(self) -> Image.Image:
        """The image for Pillow."""
        if isinstance(self.content, Image.Image):
            return self.content
        return Image.fromarray(self.content if self.content.shape[2] == 3 else self.content[:, :, 0])


class Images(Protocol):
    """Images by position, decoded from files or read from a cache."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int) -> Stored: ...


class ImageReader:
    """Turns image files into network input for one spec.

    Args:
        data_spec, augment_spec, model_spec: sections of the spec.
        workers: threads that decode images.
    """

    def __init__(self, data_spec: DataSpec, augment_spec: AugmentSpec, model_spec: ModelSpec, workers: int) -> None:
        self.data_spec = data_spec
        self.augment_spec = augment_spec
        self.model_spec = model_spec
        self.pool = ThreadPoolExecutor(max_workers=workers)

    def stored(self, path: str, training: bool, look: Look = no_look) -> Stored:
        """Decode one image and resize it once; `look` is as in `read_resized`. Raises UnreadableImageError."""
        if training:
            wanted = partial(training_size, model_spec=self.model_spec, augment_spec=self.augment_spec)
            return Stored(*read_resized(path, self.model_spec, self.data_spec, wanted, look))
        crop = self.augment_spec.enable_center_crop
        return Stored(*read_fitted(path, self.model_spec, self.data_spec, crop, look))

    def stored_size(self, size: Size, training: bool) -> Size:
        """The width and height that are stored for an image of `size`."""
        _, height, width = self.model_spec.input_image_size
        return training_size(size, self.model_spec, self.augment_spec) if training else (width, height)

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """The type of the stored pixels."""
        return np.dtype(np.float32 if self.model_spec.input_image_depth == 16 else np.uint8)

    def geometry(self, training: bool) -> dict[str, Any]:
        """Every value of the spec that decides what is stored, as plain data."""
        crop = self.augment_spec.enable_random_crop if training else self.augment_spec.enable_center_crop
        return {
            **self.model_spec.model_dump(mode="json", include=STORED_BY),
            **self.data_spec.model_dump(mode="json", include=STORED_BY_DATA),
            "crop": crop,
            "training": training,
        }

    def read(self, path: str, look: Look = no_look) -> Pixels:
        """One image as evaluation uses it: float32 [height, width, channels], scaled. Raises UnreadableImageError."""
        return self.scaled(self.stored(path, training=False, look=look).array)

    def augmented(self, stored: Stored, rng: np.random.Generator) -> Pixels:
        """One image as training uses it: float32 [height, width, channels], scaled."""
        return self.scaled(augment(stored.image, self.model_spec, self.augment_spec, rng, stored.size))

    def scaled(self, pixels: NDArray[Any]) -> Pixels:
        """The pixels, scaled by the spec's preprocess_mode."""
        return preprocess(
            pixels, self.data_spec.preprocess_mode, self.data_spec.image_mean, self.model_spec.input_image_depth
        )


class ImageFiles:
    """Images that are decoded when they are needed.

    Args:
        reader: decodes the files.
        paths: of the files.
        training: whether they are for training.
    """

    def __init__(self, reader: ImageReader, paths: Sequence[str], training: bool) -> None:
        self.reader, self.paths, self.training = reader, list(paths), training

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> Stored:
        path = self.paths[position]
        try:
            return self.reader.stored(path, self.training)
        except UnreadableImageError as error:
            raise DataError(f"{path}: {error.message}", GONE) from error


class ImageBatches(keras.utils.PyDataset):
    """Batches in order, as validation, evaluation and inference read them.

    Args:
        reader: turns images into network input.
        images: images of `training=False`.
        labels: class indices, one per image.
        classes: number of classes.
        batch_size: images per batch; the last batch may be smaller.
    """

    def __init__(
        self, reader: ImageReader, images: Images, labels: Sequence[int], classes: int, batch_size: int
    ) -> None:
        # Two threads: one prepares a batch while the other hands one over. The reader's own threads read the images.
        super().__init__(workers=2 if have_semaphores() else 1, max_queue_size=BATCHES_AHEAD)
        self.reader = reader
        self.images = images
        self.labels = np.asarray(labels, dtype=np.int64)
        self.one_hot = np.eye(classes, dtype=np.float32)
        self.batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.images) / self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        chosen = range(index * self.batch_size, min((index + 1) * self.batch_size, len(self.images)))
        images = list(self.reader.pool.map(self._pixels, chosen))
        return np.stack(images), self.one_hot[self.labels[list(chosen)]]

    def _pixels(self, position: int) -> Pixels:
        return self.reader.scaled(self.images[position].array)


class TrainingBatches(ImageBatches):
    """Batches of one epoch: shuffled, augmented and mixed.

    Args:
        seed: `train.random_seed`.
        epoch: from 0; each epoch has another order and other random numbers.
        sampling: `natural` uses every image once; `balanced` uses every class equally often, with the same total.
        class_weights: float32 [classes]; with them a batch also has one weight per image.
        The rest is as in `ImageBatches`; `images` are images of `training=True`.
    """

    def __init__(
        self,
        reader: ImageReader,
        images: Images,
        labels: Sequence[int],
        classes: int,
        batch_size: int,
        seed: int,
        epoch: int,
        sampling: str = "natural",
        class_weights: NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__(reader, images, labels, classes, batch_size)
        self.seed = seed
        self.epoch = epoch
        self.class_weights = class_weights
        rng = self._rng(SHUFFLE_STREAM)
        balanced = sampling == "balanced"
        self.order = balanced_order(self.labels, rng) if balanced else rng.permutation(len(self.labels))

    def __getitem__(self, index: int) -> Batch:
        places = range(index * self.batch_size, min((index + 1) * self.batch_size, len(self.order)))
        images = np.stack(list(self.reader.pool.map(self._sample, places)))
        labels = self.one_hot[self.labels[self.order[list(places)]]]
        images, labels = mixup(images, labels, self.reader.augment_spec.mixup_alpha, self._rng(MIXUP_STREAM, index))
        return (images, labels) if self.class_weights is None else (images, labels, labels @ self.class_weights)

    def _sample(self, place: int) -> Pixels:
        """One augmented image. Its random numbers depend on the position in the epoch, so a repeated image differs."""
        return self.reader.augmented(self.images[int(self.order[place])], self._rng(SAMPLE_STREAM, place))

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, self.epoch, *stream))


def balanced_order(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """As many positions as there are labels, with every class equally often (within one). An image is repeated only
    after all images of its class were used.
    """
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    turns = np.arange(len(labels)) % len(members)
    order = np.empty(len(labels), np.int64)
    for number, positions in enumerate(members):
        wanted = int((turns == number).sum())
        rounds = [rng.permutation(positions) for _ in range(math.ceil(wanted / len(positions)))]
        order[turns == number] = np.concatenate(rounds)[:wanted]
    return rng.permutation(order)


class Part(keras.utils.PyDataset):
    """The batches of `whole` from number `first` to before number `end`.

    Args:
        share: number of this process and number of all processes if they divide each batch; None: whole batches.
    """

    def __init__(self, whole: ImageBatches, first: int, end: int, share: tuple[int, int] | None = None) -> None:
        super().__init__(workers=whole.workers, max_queue_size=whole.max_queue_size)
        self.whole, self.first, self.end, self.share = whole, first, end, share

    @property
    def images(self) -> int:
        """The number of images in these batches."""
        size = self.whole.batch_size
        return min(self.end * size, len(self.whole.images)) - self.first * size

    def __len__(self) -> int:
        return self.end - self.first

    def __getitem__(self, index: int) -> Batch:
        batch: Batch = self.whole[self.first + index]
        if self.share is None or self.share[1] == 1:
            return batch
        number, count = self.share
        images = len(batch[0]) // count
        return tuple(array[number * images : (number + 1) * images] for array in batch)
