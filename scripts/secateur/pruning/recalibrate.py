"""Measure the statistics of batch normalisations again after channels were removed before them.

This is adaptive batch normalisation (Li et al., EagleEye, arXiv:2007.02491): after a cut, the means and variances from
training are no longer right. A few images are enough to measure the right ones.

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
    """Set the moving mean and variance of every batch normalisation to the plain average over batches of `pixels`.

    Args:
        model: its statistics are changed in place, and nothing else.
        pixels: float32 [images, height, width, channels], the input of the network.
    """
    norms: list[Any] = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    sums = [[np.zeros(weight.shape) for weight in _statistics(norm)] for norm in norms]
    momenta = [norm.momentum for norm in norms]
    batches = [pixels[start : start + BATCH_SIZE] for start in range(0, len(pixels), BATCH_SIZE)]
    # A small last batch is left out: it is too small for a variance.
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
