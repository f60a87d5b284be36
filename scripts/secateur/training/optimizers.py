"""The optimizers of the specification."""

from __future__ import annotations

from typing import Any

import keras

from secateur.errors import SpecError
from secateur.spec import OptimConfig


def optimizer_of(config: OptimConfig, rate: Any) -> keras.optimizers.Optimizer:
    """The optimizer that a section names.

    Args:
        config: the section.
        rate: learning rate: a number or a Keras schedule.

    Raises:
        SpecError: there is no such optimizer.
    """
    if config.optimizer == "adam":
        return keras.optimizers.Adam(rate, beta_1=config.beta_1, beta_2=config.beta_2, epsilon=config.epsilon)
    if config.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(rate, rho=config.rho, epsilon=config.epsilon)
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=config.momentum, nesterov=config.nesterov)
    raise SpecError(f"optim_config.optimizer: unknown optimizer '{config.optimizer}'", "use sgd, adam or rmsprop")
