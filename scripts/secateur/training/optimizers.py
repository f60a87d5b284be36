"""The optimizers of the specification."""

from __future__ import annotations

import keras

from secateur.spec import OptimConfig


def optimizer_of(config: OptimConfig, first_rate: float) -> keras.optimizers.Optimizer:
    """The optimizer, starting at `first_rate`; the schedule sets the rate before each batch."""
    if config.optimizer == "adam":
        return keras.optimizers.Adam(first_rate, beta_1=config.beta_1, beta_2=config.beta_2, epsilon=config.epsilon)
    if config.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(first_rate, rho=config.rho, epsilon=config.epsilon)
    return keras.optimizers.SGD(first_rate, momentum=config.momentum, nesterov=config.nesterov)
