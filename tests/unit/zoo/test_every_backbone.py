"""The whole zoo in one table: train a step, prune, train a step more, export, and ask ONNX Runtime.

Deeper members of a family are not trained: tracing them takes most of the time, and they have no other layers.
"""

import cv2
import keras
import numpy as np
import pytest
from keras import layers
from secateur.export.bundle.programs import reasons
from secateur.export.onnx_features import features_of
from secateur.keras_to_onnx.writer import to_onnx
from secateur.models.cost import cost_of
from secateur.pruning import prune
from secateur.spec import ModelSpec, PruneSpec
from secateur.spec.architectures import ARCHITECTURES, FIXED, family_name
from secateur.zoo import build

from tests.onnx_files import run_onnx
from tests.unit.zoo.counts import COUNTS, GRAY, body

# The rest are deeper members of the same families.
QUICK = (
    "resnet_10 efficientnet-b0 vgg_16 mobilenet_v1 mobilenet_v2 googlenet squeezenet darknet_19 cspdarknet_tiny alexnet"
).split()
CLASSES = 4


def spread(model, seed=0):
    """Filters whose norms differ widely, so that a threshold of 0.5 cuts about half of them."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D | layers.Dense):
            kernel, *rest = layer.get_weights()
            layer.set_weights([kernel * rng.uniform(0.05, 1, kernel.shape[-1]), *rest])


def step(model, images):
    # Layer by layer: one step is not worth the tracing.
    model.compile(keras.optimizers.SGD(1e-3), "categorical_crossentropy", run_eagerly=True)
    loss = model.train_on_batch(images, np.eye(CLASSES)[np.arange(len(images)) % CLASSES])
    assert np.isfinite(loss)


def by_opencv(content, images):
    """Answers of OpenCV, another program than the one for which the file is written."""
    network = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
    network.setInput(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return network.forward()


@pytest.mark.parametrize(
    "arch", [arch if arch in QUICK else pytest.param(arch, marks=pytest.mark.slow) for arch in ARCHITECTURES]
)
def test_train_prune_train_export(arch):
    channels, height, width = (1, 40, 56) if arch in GRAY else (3, 40, 56)
    batch_norm = "use_batch_norm" not in FIXED[family_name(arch)]
    spec = ModelSpec(arch=arch, use_batch_norm=batch_norm, input_image_size=(channels, height, width))
    model = build(spec, CLASSES)
    if arch not in GRAY:
        assert body(model) == COUNTS[arch]
    spread(model)
    images = np.random.default_rng(1).normal(size=(2, height, width, channels)).astype("float32")
    if arch in QUICK:
        step(model, images)
    narrow, report = prune(model, PruneSpec(threshold=0.5))
    assert report.after.params < 0.9 * report.before.params
    assert narrow.output_shape == (None, CLASSES)
    if arch in QUICK:
        step(narrow, images)
    content = to_onnx(narrow).SerializeToString()
    expected = narrow(images, training=False)
    np.testing.assert_allclose(run_onnx(content, images, "nchw"), expected, atol=1e-4)
    assert not reasons("OpenCV 4.6 (Debian 12)", features_of(content))
    np.testing.assert_allclose(by_opencv(content, images), expected, atol=1e-4)
    assert cost_of(narrow).macs < cost_of(model).macs
