"""Backbones: published parameter counts, keras.applications as reference, freezing."""

import keras
import numpy as np
import pytest
from keras import layers
from secateur.errors import ModelError, SpecError
from secateur.models.layer_kinds import ALLOWED_LAYERS
from secateur.spec import ModelSpec
from secateur.spec.architectures import ARCHITECTURES
from secateur.zoo import build
from secateur.zoo.build import freeze

from tests.unit.zoo.counts import COUNTS, GRAY, body

CONVOLUTIONS = layers.Conv2D, layers.DepthwiseConv2D

ALL_PROJECTIONS = {
    "resnet_18": 11_542_464,
    "resnet_34": 22_226_624,
    "resnet_50": 38_155_200,
    "resnet_101": 75_094_976,
    "resnet_152": 105_526_208,
    "mobilenet_v2": 2_342_528,
}
WITH_BIAS = {
    ("vgg_16", False): 14_714_688,
    ("vgg_19", False): 20_024_384,
    ("googlenet", True): 6_002_672,
    ("resnet_50", True): 23_587_712,
}
# One network a family, for what the members of a family share.
FAMILY_MEMBERS = (
    "resnet_10 resnet_50 efficientnet-b0 vgg_16 mobilenet_v1 mobilenet_v2 googlenet squeezenet darknet_19 darknet_53 "
    "cspdarknet_19 cspdarknet_tiny alexnet"
).split()


def test_every_arch_has_a_published_count():
    assert set(COUNTS) == set(ARCHITECTURES)


@pytest.mark.parametrize("arch", GRAY)
def test_parameter_counts(arch):
    """Of the others: test_every_backbone.py."""
    assert body(build(ModelSpec(arch=arch, use_batch_norm=True, input_image_size="3,32,32"), 20)) == COUNTS[arch]


@pytest.mark.parametrize("arch", ALL_PROJECTIONS)
def test_parameter_counts_with_all_projections(arch):
    spec = ModelSpec(arch=arch, use_batch_norm=True, all_projections=True, input_image_size="3,32,32")
    assert body(build(spec, 20))[0] == ALL_PROJECTIONS[arch]


@pytest.mark.parametrize(("arch", "batch_norm"), WITH_BIAS)
def test_parameter_counts_with_bias(arch, batch_norm):
    spec = ModelSpec(arch=arch, use_batch_norm=batch_norm, use_bias=True, input_image_size="3,32,32")
    assert body(build(spec, 20))[0] == WITH_BIAS[arch, batch_norm]


def test_parameter_counts_with_the_retained_head():
    b0 = ModelSpec(arch="efficientnet-b0", input_image_size="3,32,32")
    assert build(b0, 20).count_params() == 4_075_184
    assert build(b0.model_copy(update={"retain_head": True}), 1000).count_params() == 5_330_564
    # The counts that keras.applications and the papers' own releases have with 1000 classes.
    published = {"vgg_16": 138_357_544, "mobilenet_v1": 4_253_864, "mobilenet_v2": 3_538_984, "squeezenet": 1_248_424}
    for arch, count in published.items():
        spec = ModelSpec(
            arch=arch, retain_head=True, use_pooling=True, use_batch_norm=arch[0] == "m", use_bias=arch[0] == "v"
        )
        assert build(spec, 1000).count_params() == count, arch


@pytest.mark.parametrize("pooling", [True, False])
def test_resnet_strides(pooling):
    model = build(ModelSpec(arch="resnet_10", use_pooling=pooling, input_image_size="3,64,96"), 3)
    last = model.get_layer("block_4a_act_2").output.shape
    assert last[1:3] == ((2, 3) if pooling else (4, 6))
    assert ("max_pool" in {layer.name for layer in model.layers}) == pooling
    assert model.name == ("resnet10" if pooling else "resnet10_nopool")


@pytest.mark.parametrize("arch", FAMILY_MEMBERS)
@pytest.mark.parametrize("size", ["1,33,47", "3,16,16"])
@pytest.mark.parametrize("retain_head", [False, True])
def test_any_size_and_gray(arch, size, retain_head):
    model = build(ModelSpec(arch=arch, input_image_size=size, retain_head=retain_head), 4)
    channels, height, width = (int(part) for part in size.split(","))
    probabilities = np.asarray(model(np.random.default_rng(0).normal(size=(2, height, width, channels))))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert_flat_and_of_plain_layers(model)


def assert_flat_and_of_plain_layers(model):
    for layer in model.layers:
        assert type(layer).__name__ in ALLOWED_LAYERS
        assert type(layer).__module__.startswith("keras.")


TOTAL_STRIDES = [
    ({"arch": "vgg_16"}, 16),
    ({"arch": "vgg_16", "use_pooling": True}, 16),
    ({"arch": "mobilenet_v1"}, 32),
    ({"arch": "mobilenet_v2", "padding": "same"}, 32),
    ({"arch": "googlenet"}, 16),
    ({"arch": "squeezenet"}, 16),
    ({"arch": "darknet_19"}, 32),
    ({"arch": "darknet_53"}, 32),
    ({"arch": "cspdarknet_53"}, 32),
    ({"arch": "cspdarknet_tiny"}, 32),
    ({"arch": "alexnet"}, 16),
    ({"arch": "resnet_10", "use_pooling": True, "padding": "symmetric"}, 32),
]


@pytest.mark.parametrize(("options", "stride"), TOTAL_STRIDES, ids=str)
def test_total_stride(options, stride):
    """Of the features: what the head's pool gets."""
    model = build(ModelSpec(input_image_size="3,128,192", **options), 3)
    features = model.get_layer("avg_pool").input.shape
    pooled = 7 if "avg_pool_7x7" in {layer.name for layer in model.layers} else 1
    assert features[1:3] == (-(-128 // stride // pooled), -(-192 // stride // pooled))


def test_dropout_of_vgg_and_squeezenet():
    for arch, retained in (("vgg_16", ["fc1_dropout", "fc2_dropout"]), ("squeezenet", ["top_dropout"])):
        for retain_head, expected in ((True, retained), (False, ["top_dropout"])):
            model = build(ModelSpec(arch=arch, dropout=0.3, retain_head=retain_head, input_image_size="3,32,32"), 3)
            found = [layer for layer in model.layers if isinstance(layer, layers.Dropout)]
            assert [layer.name for layer in found] == expected
            assert {layer.rate for layer in found} == {0.3}


def test_activations():
    spec = ModelSpec(arch="cspdarknet_19", input_image_size="3,32,32")
    slopes = [layer.negative_slope for layer in build(spec, 3).layers if isinstance(layer, layers.LeakyReLU)]
    assert slopes == pytest.approx([0.1] * len(slopes))
    assert slopes
    mish = build(spec.model_copy(update={"activation_type": "mish"}), 3)
    assert not any(isinstance(layer, layers.LeakyReLU) for layer in mish.layers)
    assert mish.get_layer("conv1_act").activation is keras.activations.mish


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
    scaling = next(layer for layer in reference.layers if isinstance(layer, layers.Normalization))
    theirs = keras.Model(scaling.output, reference.output)
    ours = build(ModelSpec(arch="efficientnet-b0", input_image_size="3,64,96", retain_head=True), 7)
    for layer in ours.layers:
        if layer.weights:
            layer.set_weights(reference.get_layer(layer.name).get_weights())
    images = np.random.default_rng(1).normal(size=(2, 64, 96, 3)).astype("float32")
    np.testing.assert_allclose(
        np.asarray(ours(images, training=False)), np.asarray(theirs(images, training=False)), atol=1e-6
    )


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
    expected = np.asarray(theirs(features, training=False))
    np.testing.assert_allclose(
        np.asarray(ours(features, training=False)), expected, rtol=1e-4, atol=1e-4 * expected.std()
    )


def keras_name(name):
    """block_2b_conv_1 -> conv3_block2_1_conv; the projection is number 0."""
    _, place, kind, number = name.split("_")
    stage, block = int(place[0]) + 1, ord(place[1]) - ord("a") + 1
    return f"conv{stage}_block{block}_{0 if number == 'shortcut' else number}_{kind}"


def trainable_kernels(spec):
    model = build(spec, 4)
    convolutions = [layer for layer in model.layers if isinstance(layer, CONVOLUTIONS)]
    return {layer.name for layer in convolutions if not layer.trainable}, model


def test_freeze_blocks_of_resnet():
    frozen, model = trainable_kernels(ModelSpec(arch="resnet_10", use_batch_norm=True, freeze_blocks=[0, 2]))
    assert frozen == {"conv1", "block_2a_conv_1", "block_2a_conv_2", "block_2a_conv_shortcut"}
    assert model.get_layer("block_2a_bn_1").trainable, "batch normalisation of a frozen block trains on"


def test_freeze_blocks_of_efficientnet():
    frozen, _ = trainable_kernels(ModelSpec(arch="efficientnet-b0", freeze_blocks=[1, 8]))
    assert frozen == {"top_conv", "block1a_dwconv", "block1a_se_reduce", "block1a_se_expand", "block1a_project_conv"}


# docs/decisions/freeze-ids.md.
FREEZE_IDS = {
    "resnet_10": range(5),
    "vgg_16": range(1, 6),
    "mobilenet_v1": range(14),
    "mobilenet_v2": range(19),
    "googlenet": range(10),
    "darknet_19": range(6),
    "darknet_53": range(6),
    "cspdarknet_19": range(6),
    "cspdarknet_tiny": range(6),
    "efficientnet-b0": range(9),
    "squeezenet": range(9),
    "alexnet": range(1, 6),
}


def frozen_kernels(model, spec):
    """Of a network that `build` made, frozen anew."""
    for layer in model.layers:
        layer.trainable = True
    freeze(model, spec)
    return {layer.name for layer in model.layers if isinstance(layer, CONVOLUTIONS) and not layer.trainable}


@pytest.mark.parametrize("arch", FREEZE_IDS)
def test_freeze_ids(arch):
    """Every id freezes something, all together freeze every convolution of the body, and no other id is taken."""
    spec = ModelSpec(arch=arch, input_image_size="3,32,32")
    model = build(spec, 4)
    each = [frozen_kernels(model, spec.model_copy(update={"freeze_blocks": [block]})) for block in FREEZE_IDS[arch]]
    assert all(each)
    assert sum(map(len, each)) == len(set().union(*each)), "a layer belongs to one block"
    frozen = frozen_kernels(model, spec.model_copy(update={"freeze_blocks": list(FREEZE_IDS[arch])}))
    assert frozen == {layer.name for layer in model.layers if isinstance(layer, CONVOLUTIONS)}
    for block in (FREEZE_IDS[arch].start - 1, FREEZE_IDS[arch].stop):
        with pytest.raises(SpecError, match=f"has no block {block}\nhint: its blocks are {FREEZE_IDS[arch].start}, "):
            freeze(model, spec.model_copy(update={"freeze_blocks": [block]}))


def test_dense_layers_of_alexnet_can_be_frozen_where_they_are():
    spec = ModelSpec(arch="alexnet", input_image_size="3,32,32", retain_head=True, freeze_blocks=[6, 8])
    model = build(spec, 4)
    assert [model.get_layer(name).trainable for name in ("fc6", "fc7", "head_fc8")] == [False, True, False]


@pytest.mark.parametrize("arch", ["resnet_10", "mobilenet_v2", "cspdarknet_tiny"])
def test_frozen_weights_stay_through_real_steps(arch):
    spec = ModelSpec(arch=arch, use_batch_norm=True, input_image_size="3,32,32", freeze_blocks=[0, 2], freeze_bn=True)
    model = build(spec, 4)
    model.compile("sgd", "categorical_crossentropy", jit_compile=False)
    before = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    rng = np.random.default_rng(0)
    for _ in range(3):
        model.train_on_batch(rng.normal(2, 3, (4, 32, 32, 3)), np.eye(4)[rng.integers(0, 4, 4)])
    still = {
        name
        for name, weights in before.items()
        if all((one == other).all() for one, other in zip(weights, model.get_layer(name).get_weights(), strict=True))
    }
    frozen = {layer.name for layer in model.layers if layer.weights and not layer.trainable}
    assert frozen <= still
    assert "predictions_dense" not in still, "the rest does train"
    assert {layer.name for layer in model.layers if isinstance(layer, layers.BatchNormalization)} < frozen


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
