"""A user's own network: which head it gets, for which images."""

import keras
import numpy as np
import pytest
from keras import layers
from secateur.byom.backbone import build_byom
from secateur.errors import ModelError
from secateur.models.file import save_model
from secateur.spec import ModelSpec


def spec(size="3,32,32", **options):
    return ModelSpec(arch="byom", byom_model="m.tltb", input_image_size=size, **options)


def saved(tmp_path, outputs, inputs):
    keras.utils.set_random_seed(0)
    save_model(keras.Model(inputs, outputs, name="own"), tmp_path / "m.tltb", "k", {})
    return tmp_path / "m.tltb"


def body(inputs):
    x = layers.Conv2D(8, 3, activation="relu", name="body")(inputs)
    return layers.BatchNormalization(name="bn")(x)


def names(model):
    return [layer.name for layer in model.layers]


@pytest.fixture
def given():
    return keras.Input((32, 32, 3), name="Input")


def pooled_dense(x):
    return layers.Dense(4, name="fc")(layers.GlobalAveragePooling2D(name="avg_pool")(x))


def test_a_dense_head_is_replaced(given, tmp_path):
    model = build_byom(spec(), saved(tmp_path, pooled_dense(body(given)), given), 7, "k")
    assert names(model) == ["Input", "body", "bn", "own_avg_pool", "predictions_dense", "predictions"]
    assert model.output_shape == (None, 7)


def test_a_convolutional_head_is_replaced(given, tmp_path):
    x = layers.GlobalAveragePooling2D(name="gap")(layers.Conv2D(4, 1, activation="relu", name="conv10")(body(given)))
    model = build_byom(spec(), saved(tmp_path, layers.Activation("softmax", name="soft")(x), given), 7, "k")
    assert "conv10" not in names(model)
    assert model.get_layer("predictions_dense").kernel.shape == (8, 7)


@pytest.mark.parametrize("pooled", [True, False])
def test_features_keep_all_their_layers(given, tmp_path, pooled):
    x = body(given)
    x = layers.GlobalAveragePooling2D(name="gap")(x) if pooled else x
    model = build_byom(spec(), saved(tmp_path, x, given), 7, "k")
    assert {"body", "bn", "predictions_dense"} <= set(names(model))


def test_the_retained_head_gets_a_softmax_when_it_has_none(given, tmp_path):
    path = saved(tmp_path, pooled_dense(body(given)), given)
    model = build_byom(spec(retain_head=True), path, 4, "k")
    assert names(model)[-2:] == ["fc", "predictions"]
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
    np.testing.assert_allclose(np.asarray(model(images)).sum(axis=1), 1, rtol=1e-5)


def test_another_image_size_where_the_network_allows_it(given, tmp_path):
    path = saved(tmp_path, pooled_dense(body(given)), given)
    assert build_byom(spec("3,48,20"), path, 4, "k").input_shape == (None, 48, 20, 3)


@pytest.mark.parametrize("size", ["3,48,48", "1,32,32"])
def test_another_image_size_where_it_does_not(given, tmp_path, size):
    x = layers.Dense(4, name="fc")(layers.Dense(5, name="fixed")(layers.Flatten(name="flat")(body(given))))
    path = saved(tmp_path, x, given)
    with pytest.raises(ModelError, match=r"images of \[32, 32, 3\] and cannot take") as caught:
        build_byom(spec(size), path, 4, "k")
    assert caught.value.hint == "set model.input_image_size: [3, 32, 32]"


def test_freeze_bn(given, tmp_path):
    model = build_byom(spec(freeze_bn=True), saved(tmp_path, pooled_dense(body(given)), given), 4, "k")
    assert [layer.name for layer in model.layers if not layer.trainable] == ["bn"]


def test_an_onnx_file_is_told_where_to_go(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"x")
    with pytest.raises(ModelError) as caught:
        build_byom(spec(), tmp_path / "m.onnx", 4, "k")
    assert "secateur byom" in caught.value.hint
