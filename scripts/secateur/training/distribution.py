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
from secateur.errors import SpecError
from secateur.training.hosts import joined


class Shares(keras.distribution.DataParallel):  # type: ignore[misc]
    """Data parallel, also for a batch that cannot be divided evenly: each device then computes the whole of it.

    Attributes:
        even: whether the batches that Keras is given now are divided.
    """

    even = True

    def get_data_layout(self, data_shape: tuple[int, ...]) -> keras.distribution.TensorLayout:
        """The layout of an array of a batch, whose first axis counts images."""
        if self.even:
            return super().get_data_layout(data_shape)
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)


def parts_of(batches: ImageBatches) -> list[Part]:
    """The batches in parts that Keras can be given: where devices share them, the last one apart if it is uneven.

    Keras divides all batches that it is given at once as it does the first of them. Of several hosts each gives its own
    images of a batch, and all of them where it is uneven.
    """
    sharing, end = keras.distribution.distribution(), len(batches)
    if sharing is None:
        return [Part(batches, 0, end)]
    hosts = joined()
    rest = len(batches.images) % batches.batch_size % sharing.device_mesh.shape[0]
    divided = end - 1 if rest else end
    parts = [Part(batches, 0, divided, (hosts.rank, hosts.count)), Part(batches, divided, end)]
    return [part for part in parts if len(part)]


@contextmanager
def laid_out(part: Part) -> Iterator[Part]:
    """While Keras is given this part."""
    sharing = keras.distribution.distribution()
    if sharing is not None:
        sharing.even = part.share is not None
    yield part


@contextmanager
def distributed(gpus: int) -> Iterator[int]:
    """Train on several devices what is built in the block, where the backend can and has them.

    Args:
        gpus: devices that the spec asks for.

    Yields:
        The number that takes part: the most that divides `gpus`, so that shares are equal; of several hosts all.

    Raises:
        SpecError: several hosts have together another number of devices than can take equal shares.
    """
    names = keras.distribution.list_devices() if keras.backend.backend() == "jax" else []
    count = next((n for n in range(min(gpus, len(names)), 1, -1) if gpus % n == 0), 1)
    hosts = joined()
    if hosts.count > 1 and count != len(names):
        raise SpecError(
            f"{hosts.count} processes have {len(names)} devices together, but train.gpus is {gpus}",
            f"set it to {len(names)}, or start fewer",
        )
    if count == 1:
        yield 1
        return
    with _set(Shares(devices=names[:count], auto_shard_dataset=False)):
        yield count


@contextmanager
def alone() -> Iterator[None]:
    """What this process builds in the block is its own, as the copy of a network that is written to a file."""
    with _set(None):
        yield


@contextmanager
def _set(sharing: Shares | None) -> Iterator[None]:
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(sharing)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)
