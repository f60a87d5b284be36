"""Backbones: published parameter counts, keras.applications as reference, freezing."""

import keras
import numpy as np
import pytest
from keras import layers
from secateur.errors import ModelError, SpecError
from secateur.spec import ModelSpec
from secateur.spec.architectures import ARCHITECTURES
from secateur.zoo import build

# tao-facts 3.3: parameters without the head, and features.
COUNTS = {
    "efficientnet-b0": (4_049_564, 1280),
    "efficientnet-b1": (6_575_232, 1280),
    "efficientnet-b2": (7_768_562, 1408),
    "efficientnet-b3": (10_783_528, 1536),
    "efficientnet-b4": (17_673_816, 1792),
    "efficientnet-b5": (28_513_520, 2048),
    "efficientnet-b6": (40_960_136, 2304),
    "efficientnet-b7": (64_097_680, 2560),
    "resnet_10": (4_915_904, 512),
    "resnet_18": (11_190_464, 512),
    "resnet_34": (21_306_048, 512),
    "resnet_50": (23_561_152, 2048),
    "resnet_101": (42_605_504, 2048),
    "resnet_152": (58_295_232, 2048),
}
ALL_PROJECTIONS = {"resnet_18": 11_542_464, "resnet_34": 22_226_624, "resnet_50": 38_155_200, "resnet_101": 75_094_976}


def body(model):
    dense = model.get_layer("predictions_dense")
    return model.count_params() - dense.count_params(), dense.get_weights()[0].shape[0]


def test_every_arch_has_a_published_count():
    assert set(COUNTS) == set(ARCHITECTURES)


@pytest.mark.parametrize("arch", COUNTS)
def test_parameter_counts(arch):
    assert body(build(ModelSpec(arch=arch, use_batch_norm=True, input_image_size="3,32,32"), 20)) == COUNTS[arch]


@pytest.mark.parametrize("arch", ALL_PROJECTIONS)
def test_parameter_counts_with_all_projections(arch):
    spec = ModelSpec(arch=arch, use_batch_norm=True, all_projections=True, input_image_size="3,32,32")
    assert body(build(spec, 20))[0] == ALL_PROJECTIONS[arch]


def test_bias_and_counts_with_head():
    spec = ModelSpec(arch="resnet_50", use_batch_norm=True, use_bias=True, input_image_size="3,32,32")
    assert body(build(spec, 20))[0] == 23_587_712
    b0 = ModelSpec(arch="efficientnet-b0", input_image_size="3,32,32")
    assert build(b0, 20).count_params() == 4_075_184
    assert build(b0.model_copy(update={"retain_head": True}), 1000).count_params() == 5_330_564


@pytest.mark.parametrize("pooling", [True, False])
def test_resnet_strides(pooling):
    model = build(ModelSpec(arch="resnet_10", use_pooling=pooling, input_image_size="3,64,96"), 3)
    last = model.get_layer("block_4a_act_2").output.shape
    assert last[1:3] == ((2, 3) if pooling else (4, 6))
    assert ("max_pool" in {layer.name for layer in model.layers}) == pooling
    assert model.name == ("resnet10" if pooling else "resnet10_nopool")


@pytest.mark.parametrize("arch", ["resnet_10", "resnet_50", "efficientnet-b0", "efficientnet-b2"])
@pytest.mark.parametrize("size", ["1,33,47", "3,16,16"])
def test_any_size_and_gray(arch, size):
    model = build(ModelSpec(arch=arch, input_image_size=size), 4)
    channels, height, width = (int(part) for part in size.split(","))
    probabilities = np.asarray(model(np.random.default_rng(0).normal(size=(2, height, width, channels))))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_graphs_are_flat_and_of_plain_layers():
    for arch in ("resnet_18", "efficientnet-b1"):
        for layer in build(ModelSpec(arch=arch), 4).layers:
            assert type(layer).__module__.startswith("keras.")
            assert not isinstance(layer, keras.Model)


def randomise(model, seed=0):
    """Weights that keep activations in range and exercise every batch normalisation."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])


def test_efficientnet_b0_equals_keras_applications():
    reference = keras.applications.EfficientNetB0(weights=None, include_top=True, classes=7, input_shape=(64, 96, 3))
    randomise(reference)
    # Keras puts scaling layers first and pools globally; in between the structures are the same.
    theirs = keras.Model(reference.get_layer("normalization").output, reference.output)
    ours = build(ModelSpec(arch="efficientnet-b0", input_image_size="3,64,96", retain_head=True), 7)
    for layer in ours.layers:
        if layer.weights:
            layer.set_weights(reference.get_layer(layer.name).get_weights())
    images = np.random.default_rng(1).normal(size=(2, 64, 96, 3)).astype("float32")
    np.testing.assert_allclose(ours.predict(images, verbose=0), theirs.predict(images, verbose=0), atol=1e-6)


def test_resnet_50_equals_keras_applications_behind_the_stem():
    """TAO's stem pads as `same`, Keras pads 3 and 1 on all sides: from the pooled stem on they are the same."""
    reference = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(64, 64, 3))
    randomise(reference)
    theirs = keras.Model(reference.get_layer("pool1_pool").output, reference.output)
    spec = ModelSpec(arch="resnet_50", use_pooling=True, use_batch_norm=True, use_bias=True, input_image_size="3,64,64")
    model = build(spec, 7)
    for layer in model.layers:
        if layer.name.startswith("block_") and layer.weights:
            layer.set_weights(reference.get_layer(keras_name(layer.name)).get_weights())
            if isinstance(layer, layers.BatchNormalization):
                layer.epsilon = reference.get_layer(keras_name(layer.name)).epsilon
    ours = keras.Model(model.get_layer("max_pool").output, model.get_layer("block_4c_act_3").output)
    features = np.random.default_rng(1).normal(size=(2, 16, 16, 64)).astype("float32")
    expected = theirs.predict(features, verbose=0)
    np.testing.assert_allclose(ours.predict(features, verbose=0), expected, rtol=1e-4, atol=1e-4 * expected.std())


def keras_name(name):
    """block_2b_conv_1 -> conv3_block2_1_conv; the projection is number 0."""
    _, place, kind, number = name.split("_")
    stage, block = int(place[0]) + 1, ord(place[1]) - ord("a") + 1
    return f"conv{stage}_block{block}_{0 if number == 'shortcut' else number}_{kind}"


def trainable_kernels(spec):
    model = build(spec, 4)
    convolutions = [layer for layer in model.layers if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D))]
    return {layer.name for layer in convolutions if not layer.trainable}, model


def test_freeze_blocks_of_resnet():
    frozen, model = trainable_kernels(ModelSpec(arch="resnet_10", use_batch_norm=True, freeze_blocks=[0, 2]))
    assert frozen == {"conv1", "block_2a_conv_1", "block_2a_conv_2", "block_2a_conv_shortcut"}
    assert model.get_layer("block_2a_bn_1").trainable, "batch normalisation of a frozen block trains on"


def test_freeze_blocks_of_efficientnet():
    frozen, _ = trainable_kernels(ModelSpec(arch="efficientnet-b0", freeze_blocks=[1, 8]))
    assert frozen == {"top_conv", "block1a_dwconv", "block1a_se_reduce", "block1a_se_expand", "block1a_project_conv"}


@pytest.mark.parametrize(("arch", "block"), [("resnet_18", 5), ("efficientnet-b0", 9), ("resnet_18", -1)])
def test_unknown_blocks_are_refused(arch, block):
    with pytest.raises(SpecError, match=f"has no block {block}"):
        build(ModelSpec(arch=arch, freeze_blocks=[block]), 4)


def test_freeze_bn():
    model = build(ModelSpec(arch="resnet_10", use_batch_norm=True, freeze_bn=True), 4)
    assert not any(layer.trainable for layer in model.layers if isinstance(layer, layers.BatchNormalization))


def test_stochastic_depth():
    drops = {
        layer.name: layer.rate for layer in build(ModelSpec(arch="efficientnet-b1"), 4).layers if "drop" in layer.name
    }
    assert drops["block1b_drop"] == pytest.approx(0.2 * 1 / 16)
    assert max(drops.values()) > 0.2, "TAO divides by the unscaled number of blocks"
    assert not any("drop" in layer.name for layer in build(ModelSpec(arch="efficientnet-b0"), 4).layers)


def test_activation_type_is_honoured_in_b0_too():
    kinds = {
        getattr(layer.activation, "__name__", "")
        for layer in build(ModelSpec(activation_type="relu"), 4).layers
        if isinstance(layer, layers.Activation)
    }
    assert kinds == {"relu", "sigmoid", "softmax"}


def test_one_class_is_refused():
    with pytest.raises(ModelError, match="2 classes"):
        build(ModelSpec(), 1)
