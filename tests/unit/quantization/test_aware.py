"""Quantisation-aware training: what rounds, what is learned, and that the exported file computes the same."""

import keras
import numpy as np
import pytest
from secateur.errors import ModelError
from secateur.keras_to_onnx.writer import to_onnx
from secateur.quantization.aware import FakeQuantize, as_deployed, plain_network, quantisation_aware
from secateur.quantization.integers import integer_check
from secateur.quantization.qdq import quantised
from secateur.quantization.ranges import Ranges

from tests.onnx_files import run_onnx
from tests.unit.quantization.networks import images, network


def seen(aware, pixels, times=3):
    for _ in range(times):
        aware(pixels, training=True)
    return aware


def test_fake_quantize_rounds_to_255_levels_and_passes_the_gradient():
    layer = FakeQuantize()
    x = np.linspace(-2, 2, 1001, dtype="float32")
    layer(x, training=True)
    y = np.asarray(layer(x, training=False))
    assert len(np.unique(y)) == 255
    assert np.abs(x - y).max() <= 2 / 127 / 2 + 1e-6
    assert float(np.asarray(layer.least)) == -2
    beyond = np.asarray(layer(np.array([-9.0, 9.0], "float32"), training=False))
    np.testing.assert_allclose(beyond, [-2, 2], rtol=1e-6)


def test_gradients_pass_within_the_range_and_stop_beyond_it():
    import tensorflow as tf

    layer = FakeQuantize()
    layer(np.array([1.0, -1.0], "float32"), training=True)
    x = tf.constant([0.3, -0.7, 1.5])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=False)
    np.testing.assert_array_equal(tape.gradient(y, x), [1, 1, 0])


@pytest.mark.parametrize("arch", ["resnet_10", "efficientnet-b0", "mobilenet_v2", "googlenet", "cspdarknet_tiny"])
def test_the_exported_file_computes_what_training_saw(arch):
    model, pixels = network(arch), images(16)
    aware = seen(quantisation_aware(model), pixels)
    plain, ranges = plain_network(aware, model)
    proto = to_onnx(plain)
    expected = np.asarray(aware(pixels, training=False))
    float_answers = np.asarray(plain(pixels, training=False))
    for flavour in ("tensorrt", "onnxruntime"):
        content = quantised(proto, ranges, flavour).SerializeToString()
        found = run_onnx(content, pixels)
        # A value on the border between two levels may fall either way; that is all they may differ by.
        assert np.abs(found - expected).mean() < 0.015
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99
        if flavour == "onnxruntime":
            assert not integer_check(content).floating
    assert np.abs(float_answers - expected).max() > 1e-6, "rounding does something"


def test_it_goes_there_and_back():
    model, pixels = network(), images(8)
    aware = seen(quantisation_aware(model), pixels)
    plain, ranges = plain_network(aware, model)
    again = as_deployed(plain, {"quantization": ranges.as_json()}, "m.tlt")
    np.testing.assert_array_equal(again(pixels, training=False), aware(pixels, training=False))
    assert as_deployed(plain, {}, "m.tlt") is plain
    assert ranges.symmetric
    assert ranges.of["activation_1:0"][0] == 0, "nothing is below zero behind a ReLU"


def test_a_missing_range_is_named():
    with pytest.raises(ModelError, match="there is no range for 'input_1'"):
        quantisation_aware(network(), Ranges({}, symmetric=True))


def test_penalties_and_frozen_layers_stay():
    model = network()
    model.get_layer("conv1").trainable = False
    config = model.get_layer("block_1a_conv_1").get_config()
    assert config["kernel_regularizer"] is None
    model.get_layer("block_1a_conv_1").kernel_regularizer = keras.regularizers.L2(0.1)
    aware = quantisation_aware(model)
    assert not aware.get_layer("conv1").trainable
    assert aware.get_layer("block_1a_conv_1").kernel_regularizer is not None
    trained = [v.path for v in aware.trainable_variables]
    assert not [path for path in trained if "_range/" in path]


def test_training_learns_with_rounding():
    model = network(classes=2)
    pixels = np.concatenate([images(32) - 1, images(32, seed=1) + 1])
    labels = np.repeat(np.eye(2, dtype="float32"), 32, axis=0)
    aware = quantisation_aware(model)
    aware.compile(keras.optimizers.Adam(1e-3), "categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    aware.fit(pixels, labels, batch_size=16, epochs=6, verbose=0)
    plain, ranges = plain_network(aware, model)
    content = quantised(to_onnx(plain), ranges, "onnxruntime").SerializeToString()
    assert (run_onnx(content, pixels).argmax(1) == labels.argmax(1)).mean() > 0.95


def test_a_separable_convolution_is_refused_by_name():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.SeparableConv2D(4, 3, name="both")(inputs))
    with pytest.raises(ModelError, match="layer 'both': a SeparableConv2D cannot be trained for int8"):
        quantisation_aware(keras.Model(inputs, keras.layers.Dense(3)(x)))
