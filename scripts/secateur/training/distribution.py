"""Run one training on several devices: each takes a share of every batch (data parallel, `keras.distribution` on JAX).

The network, the batch and the learning rate depend on `gpus` of the spec, not on the number of devices that take part.
XLA computes on the whole batch, including the statistics of batch normalisations and the mean of the loss, and divides
the work. So the result is the same as on one device with the same batch, except for rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from secateur.data.pipeline import ImageBatches, Part
from secateur.errors import SpecError
from secateur.training.hosts import joined


class Shares(keras.distribution.DataParallel):  # type: ignore[misc]
    """Data parallel, but each device computes the whole of a batch that cannot be divided evenly.

    Attributes:
        even: whether the current batches are divided.
    """

    even = True

    def get_data_layout(self, data_shape: tuple[int, ...]) -> keras.distribution.TensorLayout:
        """The layout of an array of a batch. Its first axis counts images."""
        if self.even:
            return super().get_data_layout(data_shape)
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)


def parts_of(batches: ImageBatches) -> list[Part]:
    """The batches in parts for Keras. If devices share the batches, an uneven last batch is a separate part.

    Keras divides all batches of a call like the first one. Each of several hosts gives its own images of a batch; for
    an uneven batch each gives all images.
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
    """Set the layout of this part while the block runs."""
    sharing = keras.distribution.distribution()
    if sharing is not None:
        sharing.even = part.share is not None
    yield part


@contextmanager
def distributed(gpus: int) -> Iterator[int]:
    """Train models that are built in the block on several devices, if the backend supports it and devices exist.

    Only a device count that divides `gpus` is used, so that shares are equal: of 3 free GPUs, 2. Several hosts use all
    their devices.

    Args:
        gpus: number of devices in the spec.

    Yields:
        The number of devices that take part.

    Raises:
        SpecError: the devices of several hosts together cannot take equal shares.
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
    """Build models in the block without distribution, such as the copy of a network that is written to a file."""
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
