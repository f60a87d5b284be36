"""The schedule as the optimizer sees it: one rate for each batch of the whole training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from secateur.spec import TrainSpec
from secateur.training.schedules import learning_rate


def rate_of_batch(train_spec: TrainSpec, batch: int, batches: int) -> float:
    """The rate of a batch, counted from 0 over all epochs of `batches` batches each."""
    return learning_rate(train_spec.lr_config, batch / (batches * train_spec.num_epochs), train_spec.gpus)


class RateTable(keras.optimizers.schedules.LearningRateSchedule):
    """Looks the rate up by the optimizer's own count of batches, which a checkpoint keeps.

    A table and not a callback: it acts on every backend, and costs nothing between batches. Four bytes a batch.

    Args:
        train_spec: `train` or `retrain`.
        batches: number of batches an epoch.
    """

    def __init__(self, train_spec: TrainSpec, batches: int) -> None:
        total = batches * train_spec.num_epochs
        self.rates = np.array([rate_of_batch(train_spec, batch, batches) for batch in range(total)], np.float32)

    def __call__(self, step: Any) -> Any:
        """The rate, a float32 scalar tensor, of batch `step`."""
        last = len(self.rates) - 1
        return keras.ops.take(self.rates, keras.ops.minimum(keras.ops.cast(step, "int32"), last))

    def get_config(self) -> dict[str, Any]:
        """Only for Keras' interface: models are saved without their optimizer."""
        return {"rates": self.rates.tolist()}
