"""One training on several devices: each takes a share of every batch (data parallel, `keras.distribution` on JAX).

The network, the batch and the learning rate do not depend on how many devices take part, only on `gpus` of the spec:
XLA computes on the whole batch, statistics of batch normalisations and the mean of the loss included, and divides the
work. So the result is that of one device with the same batch, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from secateur.data.pipeline import ImageBatches, Part


class Shares(keras.distribution.DataParallel):  # type: ignore[misc]
    """Data parallel, also for a batch that cannot be divided evenly: each device then computes the whole of it."""

    def get_data_layout(self, data_shape: tuple[int, ...]) -> keras.distribution.TensorLayout:
        """The layout of an array of a batch, whose first axis counts images."""
        layout = super().get_data_layout(data_shape)
        if data_shape and data_shape[0] % self.device_mesh.shape[0]:
            return keras.distribution.TensorLayout([None] * len(data_shape), layout.device_mesh)
        return layout


def parts_of(batches: ImageBatches) -> list[Part]:
    """The batches in parts that Keras can be given: where devices share them, the last one apart if it is uneven.

    Keras divides all batches that it is given at once as it does the first of them.
    """
    sharing, end = keras.distribution.distribution(), len(batches)
    if sharing is None or end < 2 or len(batches.images) % batches.batch_size % sharing.device_mesh.shape[0] == 0:
        return [Part(batches, 0, end)]
    return [Part(batches, 0, end - 1), Part(batches, end - 1, end)]


@contextmanager
def distributed(gpus: int) -> Iterator[int]:
    """Train on several devices what is built in the block, where the backend can and has them.

    Args:
        gpus: devices that the spec asks for.

    Yields:
        The number that takes part: the most that divides `gpus`, so that shares are equal.
    """
    names = keras.distribution.list_devices() if keras.backend.backend() == "jax" else []
    count = next((n for n in range(min(gpus, len(names)), 1, -1) if gpus % n == 0), 1)
    if count == 1:
        yield 1
        return
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(Shares(devices=names[:count], auto_shard_dataset=False))
    try:
        yield count
    finally:
        keras.distribution.set_distribution(before)
