"""Small networks whose numbers are not those of fresh ones, and images for them."""

import keras
import numpy as np
from keras import layers
from secateur.spec import ModelSpec
from secateur.zoo import build


def network(arch="resnet_10", side=32, classes=5, **options):
    keras.utils.set_random_seed(1)
    spec = ModelSpec(**{"arch": arch, "use_batch_norm": True, "input_image_size": (3, side, side), **options})
    model = build(spec, classes)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            # A scale below zero turns the sign of a channel: the integers must follow.
            signs = np.where(rng.random(gamma.shape) < 0.2, -1, 1)
            values = (signs * rng.uniform(0.7, 1.3, gamma.shape), rng.normal(0, 0.2, beta.shape), mean, variance)
            layer.set_weights([value.astype("float32") for value in values])
    return model


def images(count=32, side=32, seed=0):
    return np.random.default_rng(seed).normal(size=(count, side, side, 3)).astype("float32")
