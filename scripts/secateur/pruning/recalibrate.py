"""Measure the statistics of batch normalisations again after channels were removed before them.

Known as adaptive batch normalisation (Li et al., EagleEye, arXiv:2007.02491): the means and variances that a
network was trained with no longer hold once channels are cut, and a few images are enough to find those that do.

See docs/decisions/recalibration.md.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

BATCH_SIZE = 64


def recalibrate(model: keras.Model, pixels: NDArray[np.float32]) -> None:
    """Set every batch normalisation's moving mean and variance to the plain average over batches of `pixels`.

    Args:
        model: changed in place; nothing else of it changes.
        pixels: float32 [images, height, width, channels], as the network reads them.
    """
    norms: list[Any] = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    sums = [[np.zeros(weight.shape) for weight in _statistics(norm)] for norm in norms]
    momenta = [norm.momentum for norm in norms]
    batches = [pixels[start : start + BATCH_SIZE] for start in range(0, len(pixels), BATCH_SIZE)]
    # A last batch of a few images is too small for a variance.
    batches = [batch for batch in batches if len(batch) == BATCH_SIZE] or batches
    training = [(norm, norm.trainable) for norm in norms]
    for norm in norms:
        norm.momentum, norm.trainable = 0.0, True
    for batch in batches:
        model(batch, training=True)
        for own, norm in zip(sums, norms, strict=True):
            for index, weight in enumerate(_statistics(norm)):
                own[index] += np.asarray(weight)
    for norm, own, momentum in zip(norms, sums, momenta, strict=True):
        norm.momentum = momentum
        for total, weight in zip(own, _statistics(norm), strict=True):
            weight.assign(total / len(batches))
    for norm, trainable in training:
        norm.trainable = trainable


def _statistics(norm: Any) -> list[Any]:
    return [norm.moving_mean, norm.moving_variance]
