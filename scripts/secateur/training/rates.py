"""The schedule for the optimizer: one learning rate per batch of the whole training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from secateur.spec import TrainSpec
from secateur.training.schedules import learning_rate


def rate_of_batch(train_spec: TrainSpec, batch: int, batches: int, restart: int = 0) -> float:
    """The rate of a batch. Batches are counted from 0 over all epochs of `batches` batches each.

    The schedule runs over the epochs after `restart`; batches before them have its first rate. With
    `lr_config.compat: tao` the optimizer's decay divides it, as the optimizers of Keras 2 do.
    """
    done, length = batch - batches * restart, batches * (train_spec.num_epochs - restart)
    rate = learning_rate(train_spec.lr_config, max(done, 0) / length, train_spec.gpus)
    decay = train_spec.optim_config.decay if train_spec.lr_config.compat == "tao" else 0.0
    return rate / (1 + decay * batch)


class RateTable(keras.optimizers.schedules.LearningRateSchedule):
    """Reads the rate from a table by the optimizer's own count of batches, which a checkpoint keeps.

    A table, unlike a callback, works on every backend and takes no time between batches. It needs 4 bytes per batch.

    Args:
        train_spec: `train` or `retrain`.
        batches: number of batches per epoch.
        restart: the finished epochs before the schedule began again.
    """

    def __init__(self, train_spec: TrainSpec, batches: int, restart: int = 0) -> None:
        total = batches * train_spec.num_epochs
        self.rates = np.array(
            [rate_of_batch(train_spec, batch, batches, restart) for batch in range(total)], np.float32
        )

    def __call__(self, step: Any) -> Any:
        """The rate of batch `step`, a float32 scalar tensor."""
        last = len(self.rates) - 1
        return keras.ops.take(self.rates, keras.ops.minimum(keras.ops.cast(step, "int32"), last))

    def get_config(self) -> dict[str, Any]:
        """Return no options. Keras' interface needs this method, but models are saved without their optimizer."""
        return {"rates": self.rates.tolist()}
