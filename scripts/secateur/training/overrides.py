"""Apply `reg_config` and `bn_config` to a model, fresh or loaded.

See docs/decisions/batch-normalisation.md and optimizer-options.md.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from secateur.models.graph import copied
from secateur.spec import BnConfig, RegConfig, TrainSpec

# Exact classes: a depthwise convolution is not one of them and is never regularised.
SCOPES = {"conv2d": layers.Conv2D, "dense": layers.Dense}


def configured(model: keras.Model, train_spec: TrainSpec) -> keras.Model:
    """A copy of `model` with its weights, with penalties on the kernels in scope and the momentum of `bn_config`.

    Earlier kernel penalties are replaced. Biases and batch normalisation never have a penalty.
    """

    def with_options(layer: Any) -> Any:
        config = layer.get_config()
        if "kernel_regularizer" in config:
            config["kernel_regularizer"] = _penalty(layer, train_spec.reg_config)
        if isinstance(layer, layers.BatchNormalization):
            config.update(_statistics(train_spec.bn_config))
        return type(layer).from_config(config)

    copy = copied(model, with_options)
    copy.set_weights(model.get_weights())
    return copy


def _penalty(layer: Any, config: RegConfig) -> Any:
    in_scope = any(type(layer) is SCOPES[name] for name in config.scope)
    if config.type == "none" or not config.weight_decay or not in_scope:
        return None
    penalty = {"l1": keras.regularizers.L1, "l2": keras.regularizers.L2}[config.type]
    return penalty(config.weight_decay)


def _statistics(config: BnConfig | None) -> dict[str, float]:
    """The options of a batch normalisation.

    Without `bn_config` TAO's momentum is used, which TAO writes into every layer: the backbone's own momentum, 0.999
    for MobileNet v2, needs more steps than a small data set has. Epsilon belongs to the weights and is not changed.
    """
    if config is None:
        return {"momentum": BnConfig().momentum}
    return {"momentum": config.momentum, "epsilon": config.epsilon}
