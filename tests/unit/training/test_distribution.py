"""One training on several devices against the same on one: JAX with virtual CPU devices, in processes of their own."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("jax")

TRAINING = """
import pickle, sys
import keras, numpy as np
from secateur.spec import TrainSpec
from secateur.training.distribution import distributed
from secateur.training.loop import Trainer

class Batches(keras.utils.PyDataset):
    # 21 images: of the last batch two devices cannot have equal shares.
    def __init__(self, size):
        super().__init__()
        rng = np.random.default_rng(0)
        self.images = rng.normal(size=(21, 8, 8, 3)).astype("float32")
        self.labels = np.eye(3, dtype="float32")[rng.integers(0, 3, 21)]
        self.batch_size = size
    def __len__(self):
        return -(-len(self.images) // self.batch_size)
    def __getitem__(self, index):
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.images[part], self.labels[part]

section = TrainSpec(batch_size_per_gpu=4, gpus=2, num_epochs=2)
with distributed(section.gpus) as devices:
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, use_bias=False)(image)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.5)(x))
    x = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(keras.layers.Dropout(0.2)(x)))
    model = keras.Model(image, keras.layers.Softmax()(x))
    trainer = Trainer(model, section, lambda epoch: Batches(section.batch_size), Batches(section.batch_size), 21)
    state = trainer.run()
pickle.dump((devices, state.history, model.get_weights()), sys.stdout.buffer)
"""


def trained(devices):
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run([sys.executable, "-c", TRAINING], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return pickle.loads(done.stdout)


def test_two_devices_give_what_one_gives():
    """Of the loss, the accuracy, the weights and the statistics of the batch normalisation.

    Of three devices only two take part: shares are equal.
    """
    (one, history, weights), (two, same_history, same_weights) = trained(1), trained(3)
    assert (one, two) == (1, 2)
    for row, same in zip(history, same_history, strict=True):
        assert row == pytest.approx(same, abs=1e-5)
    for weight, same in zip(weights, same_weights, strict=True):
        np.testing.assert_allclose(weight, same, atol=1e-5)
