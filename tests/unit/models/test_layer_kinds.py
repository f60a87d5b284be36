"""Each layer of the one list is read, pruned and written as ONNX, or refused by name; each other layer is refused."""

import ast
from pathlib import Path

import keras
import numpy as np
import pytest
import secateur
from keras import layers
from secateur.errors import ModelError, UntrustedModelError
from secateur.export.onnx_features import features_of
from secateur.keras_to_onnx.layers import EMITTERS
from secateur.keras_to_onnx.writer import to_onnx
from secateur.models.file import load_model, save_model
from secateur.models.layer_kinds import ALLOWED_LAYERS, LAYER_KINDS, instead_of
from secateur.pruning import prune
from secateur.pruning.layer_rules import HANDLERS
from secateur.spec import PruneSpec

from tests.onnx_files import run_onnx
from tests.pruned_networks import assert_same, disturb

CHANNELS = 8
GENERAL_ADVICE = instead_of("ALayerThatNobodyKnows")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """These files are our own: no child process reads them first, and their key may be guessed."""
    monkeypatch.setattr("secateur.models.file.require_readable", lambda content, path: None)
    monkeypatch.setattr("secateur.vault.age._wrap_key", lambda *_: bytes(32))


def beside(kind):
    """A layer of several inputs."""
    return lambda x: kind(name="tested")([x, layers.Conv2D(CHANNELS, 1, name="c2")(x)])


def alone(kind, *args, **options):
    """Made only when the body is called: a layer belongs to one network."""

    def body(x):
        return kind(*args, name="tested", **options)(x)

    return body


def vectors(body):
    return lambda x: body(layers.GlobalAveragePooling2D()(x))


# Name of a layer -> networks with it: each is what stands between a convolution of 8x8 pixels and the head.
# What is called "tested" maps zeros to zeros, so that a removed channel and one of zeros are the same.
CASES = {
    "InputLayer": [lambda x: x],
    "Conv2D": [
        alone(layers.Conv2D, 6, 3, strides=2, padding="same", activation="relu"),
        alone(layers.Conv2D, 8, 3, groups=2, use_bias=False),
        alone(layers.Conv2D, 8, 3, dilation_rate=2),
    ],
    "DepthwiseConv2D": [
        alone(layers.DepthwiseConv2D, 3, padding="same"),
        alone(layers.DepthwiseConv2D, 3, strides=2, depth_multiplier=2),
    ],
    "SeparableConv2D": [
        alone(layers.SeparableConv2D, 6, 3, padding="same"),
        alone(layers.SeparableConv2D, 6, 3, strides=2, depth_multiplier=3, activation="relu"),
        alone(layers.SeparableConv2D, 6, (3, 1), dilation_rate=2, use_bias=False),
        lambda x: layers.BatchNormalization()(layers.SeparableConv2D(6, 3, padding="same", name="tested")(x)),
    ],
    "Conv2DTranspose": [
        alone(layers.Conv2DTranspose, 4, 3, padding="same"),
        alone(layers.Conv2DTranspose, 4, 4, strides=2, padding="same", activation="relu"),
        alone(layers.Conv2DTranspose, 4, 3, strides=2, padding="same", use_bias=False),
        alone(layers.Conv2DTranspose, 4, (1, 2), strides=3, padding="same"),
        alone(layers.Conv2DTranspose, 4, 3, strides=2, padding="valid"),
        alone(layers.Conv2DTranspose, 4, 1, strides=(2, 3), padding="valid"),
        alone(layers.Conv2DTranspose, 4, 3, dilation_rate=2, padding="same"),
    ],
    "Dense": [vectors(alone(layers.Dense, 6, activation="relu")), vectors(alone(layers.Dense, 6, use_bias=False))],
    "BatchNormalization": [
        alone(layers.BatchNormalization),
        vectors(alone(layers.BatchNormalization, scale=False)),
        lambda x: layers.BatchNormalization(name="tested")(layers.ReLU()(x)),
    ],
    "LayerNormalization": [alone(layers.LayerNormalization), vectors(alone(layers.LayerNormalization))],
    "GroupNormalization": [
        alone(layers.GroupNormalization, 2),
        alone(layers.GroupNormalization, -1, scale=False),
        alone(layers.GroupNormalization, 1, center=False, epsilon=0.1),
    ],
    "Rescaling": [alone(layers.Rescaling, 0.5)],
    "Activation": [
        alone(layers.Activation, kind) for kind in ("relu", "tanh", "silu", "relu6", "elu", "gelu", "mish", "hard_silu")
    ],
    "ReLU": [alone(layers.ReLU), alone(layers.ReLU, max_value=0.5)],
    "LeakyReLU": [alone(layers.LeakyReLU, negative_slope=0.1)],
    "PReLU": [
        alone(layers.PReLU, alpha_initializer="uniform"),
        alone(layers.PReLU, shared_axes=[1, 2]),
        alone(layers.PReLU, shared_axes=[1, 2, 3]),
        vectors(alone(layers.PReLU)),
    ],
    "ELU": [alone(layers.ELU, alpha=0.5)],
    "Softmax": [
        alone(layers.Softmax),
        vectors(alone(layers.Softmax)),
        lambda x: layers.Reshape((8, 8, CHANNELS))(layers.Softmax(name="tested")(layers.Reshape((64, CHANNELS))(x))),
    ],
    "Add": [beside(layers.Add)],
    "Subtract": [beside(layers.Subtract)],
    "Multiply": [beside(layers.Multiply), lambda x: layers.Multiply(name="tested")([x, layers.Conv2D(1, 1)(x)])],
    "Average": [beside(layers.Average)],
    "Maximum": [beside(layers.Maximum)],
    "Minimum": [beside(layers.Minimum)],
    "Concatenate": [beside(layers.Concatenate), lambda x: layers.Concatenate(axis=1, name="tested")([x, x])],
    "MaxPooling2D": [alone(layers.MaxPooling2D), alone(layers.MaxPooling2D, 3, 2, padding="same")],
    "AveragePooling2D": [alone(layers.AveragePooling2D, 8), alone(layers.AveragePooling2D, 3, 2, padding="same")],
    "GlobalMaxPooling2D": [alone(layers.GlobalMaxPooling2D), alone(layers.GlobalMaxPooling2D, keepdims=True)],
    "GlobalAveragePooling2D": [
        alone(layers.GlobalAveragePooling2D),
        alone(layers.GlobalAveragePooling2D, keepdims=True),
    ],
    "ZeroPadding2D": [
        alone(layers.ZeroPadding2D, ((1, 2), (0, 3))),
        lambda x: layers.ReLU()(layers.ZeroPadding2D(((1, 2), (0, 3)), name="tested")(x)),
    ],
    "Cropping2D": [alone(layers.Cropping2D, ((1, 2), (0, 3))), alone(layers.Cropping2D, 2)],
    "UpSampling2D": [alone(layers.UpSampling2D, (2, 3)), alone(layers.UpSampling2D, 2, interpolation="bilinear")],
    "Flatten": [alone(layers.Flatten)],
    "Reshape": [
        alone(layers.Reshape, (4, -1, CHANNELS)),
        alone(layers.Reshape, (8, 4, 2 * CHANNELS)),
        lambda x: layers.Reshape((1, 1, CHANNELS), name="tested")(layers.GlobalMaxPooling2D()(x)),
    ],
    "Permute": [
        alone(layers.Permute, (2, 1, 3)),
        lambda x: layers.Reshape((8, 8, CHANNELS))(
            layers.Permute((2, 1, 3), name="tested")(layers.Reshape((4, 16, CHANNELS))(x))
        ),
    ],
    "Identity": [alone(layers.Identity)],
    "Dropout": [alone(layers.Dropout, 0.5)],
    "SpatialDropout2D": [alone(layers.SpatialDropout2D, 0.5)],
    "GaussianDropout": [alone(layers.GaussianDropout, 0.5)],
    "GaussianNoise": [alone(layers.GaussianNoise, 0.5)],
    "ActivityRegularization": [alone(layers.ActivityRegularization, 0.01)],
}
NUMBERED = [(name, place) for name, bodies in CASES.items() for place in range(len(bodies))]
# Options with which a layer of the list needs all its channels after all.
NEED_ALL = {
    "Permute": alone(layers.Permute, (3, 1, 2)),
    "Rescaling": alone(layers.Rescaling, [0.5] * CHANNELS, [0.25] * CHANNELS),
    "Activation": alone(layers.Activation, "softmax"),
}


def network(body):
    """Images of 8x8 pixels, a convolution `c1`, the body, and a head that keeps all channels of the last layer."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3), name="images")
    x = body(layers.Conv2D(CHANNELS, 3, padding="same", name="c1")(inputs))
    if len(x.shape) == 4:
        x = layers.Flatten()(layers.Conv2D(4, 1, name="last")(x))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="classes")(x))
    disturb(model, 0)
    return model


def answers(model):
    return np.asarray(model(pixels(), training=False))


def pixels():
    return np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")


def assert_read_and_written(model, path):
    """A saved model is read again, and its ONNX form computes the same."""
    save_model(model, path, "k", {})
    again, _ = load_model(path, "k")
    np.testing.assert_array_equal(answers(model), answers(again))
    for layout in ("nchw", "nhwc"):
        content = to_onnx(again, layout).SerializeToString()
        assert "Gemm with a matrix that is not transposed" not in features_of(content), "OpenCV 4.6 takes no other"
        written = run_onnx(content, pixels(), layout)
        np.testing.assert_allclose(written, answers(model), atol=1e-5)


def test_every_table_has_every_layer():
    assert {kind.__name__ for kind in HANDLERS} == ALLOWED_LAYERS
    assert {kind.__name__ for kind in EMITTERS} | {"InputLayer"} == ALLOWED_LAYERS
    assert set(CASES) == ALLOWED_LAYERS
    for kind in HANDLERS:
        assert getattr(layers, kind.__name__) is kind


@pytest.mark.parametrize("package", ["byom", "zoo"])
def test_what_we_make_is_on_the_list(package):
    """Every `layers.X` in the sources that build networks."""
    sources = (Path(secateur.__file__).parent / package).glob("*.py")
    made = {
        part.attr
        for source in sources
        for part in ast.walk(ast.parse(source.read_text()))
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "layers"
    }
    assert made and made <= ALLOWED_LAYERS


@pytest.mark.parametrize(("name", "place"), NUMBERED)
def test_each_layer(tmp_path, name, place):
    model = network(CASES[name][place])
    assert type(model.get_layer("images" if name == "InputLayer" else "tested")).__name__ == name
    assert_read_and_written(model, tmp_path / "whole.tlt")
    spec = PruneSpec(threshold=0.5, granularity=1, min_num_filters=1, importance="random")
    if LAYER_KINDS[name] == "needs all" and name != "InputLayer":
        with pytest.raises(ModelError, match="layer 'tested': ") as error:
            prune(model, spec)
        assert error.value.hint == "add to prune.excluded_layers: c1"
        return
    narrow, report = assert_same(model)
    assert report.after.params < report.before.params
    assert len(report.kept["c1"]) < CHANNELS
    assert_read_and_written(narrow, tmp_path / "narrow.tlt")


@pytest.mark.parametrize("name", NEED_ALL)
def test_options_with_which_a_layer_needs_all_its_channels(tmp_path, name):
    model = network(NEED_ALL[name])
    assert_read_and_written(model, tmp_path / "whole.tlt")
    with pytest.raises(ModelError, match=f"layer 'tested': a {name} layer cannot follow pruned channels"):
        prune(model, PruneSpec(threshold=0.5, granularity=1, min_num_filters=1, importance="random"))


def test_numbers_in_an_array_are_read_again(tmp_path):
    assert_read_and_written(network(alone(layers.Rescaling, np.full(CHANNELS, 0.5))), tmp_path / "m.tlt")


@pytest.mark.parametrize("kind", ["sparsemax", "log_softmax"])
def test_filters_with_an_activation_over_channels_all_stay(kind):
    model = network(alone(layers.Conv2D, 6, 1, activation=kind))
    narrow, report = assert_same(model)
    assert report.kept["tested"] == [0, 1, 2, 3, 4, 5]
    assert len(report.kept["c1"]) < CHANNELS
    with pytest.raises(ModelError, match=f"layer 'tested' .*{kind}.* cannot be written as ONNX"):
        to_onnx(narrow)


@pytest.mark.parametrize(
    "body",
    [
        alone(layers.BatchNormalization, axis=1),
        alone(layers.LayerNormalization, axis=1),
        alone(layers.GroupNormalization, 2, axis=1),
        alone(layers.Softmax, axis=1),
        alone(layers.ReLU, negative_slope=0.1),
        alone(layers.Activation, "sparsemax"),
        alone(layers.UpSampling2D, interpolation="bicubic"),
        alone(layers.Conv2DTranspose, 4, 3, strides=2, output_padding=1),
        alone(layers.MaxPooling2D, data_format="channels_first"),
        alone(layers.ZeroPadding2D, 1, data_format="channels_first"),
        alone(layers.Dense, 6),
    ],
)
def test_options_that_cannot_be_written_are_refused_by_name(body):
    with pytest.raises(ModelError, match=r"layer 'tested' .* cannot be written as ONNX"):
        to_onnx(network(body))


def test_every_other_layer_of_keras_has_its_own_advice():
    known = {
        part.__name__ for part in vars(layers).values() if isinstance(part, type) and issubclass(part, layers.Layer)
    }
    assert known >= ALLOWED_LAYERS
    without = {name for name in known - ALLOWED_LAYERS if instead_of(name) == GENERAL_ADVICE}
    assert without == {"Layer"}, "new layers of Keras: put them on the list, or say what to do instead"


class Doubled(layers.Conv2D):
    """Computes something else than the layer from which it is derived."""

    def call(self, inputs):
        return 2 * super().call(inputs)


OTHERS = {
    "UnitNormalization": alone(layers.UnitNormalization),
    "AlphaDropout": alone(layers.AlphaDropout, 0.5),
    "Dot": lambda x: layers.Dot(-1, name="tested")([x, x]),
    "Conv1D": lambda x: layers.Flatten()(layers.Conv1D(4, 3, name="tested")(layers.Reshape((64, CHANNELS))(x))),
    "SpatialDropout1D": lambda x: layers.Flatten()(
        layers.SpatialDropout1D(0.5, name="tested")(layers.Reshape((64, CHANNELS))(x))
    ),
    "RandomFlip": alone(layers.RandomFlip),
    "Resizing": alone(layers.Resizing, 4, 4),
    "AdaptiveAveragePooling2D": alone(layers.AdaptiveAveragePooling2D, 2),
    "Lambda": alone(layers.Lambda, lambda x: x, output_shape=(8, 8, CHANNELS)),
    "Doubled": alone(Doubled, 4, 3),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_layers_are_refused_everywhere(tmp_path, name):
    inputs = keras.Input((8, 8, 3))
    x = OTHERS[name](layers.Conv2D(CHANNELS, 3, padding="same", name="c1")(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    for refused in (
        lambda: prune(model, PruneSpec(threshold=0.5)),
        lambda: save_model(model, tmp_path / "m.tlt", "k", {}),
    ):
        with pytest.raises(ModelError, match=f"layer 'tested': a {name} cannot be read, pruned or exported") as error:
            refused()
        assert error.value.hint == instead_of(name)
    assert not (tmp_path / "m.tlt").exists()
    with pytest.raises(ModelError, match=rf"layer 'tested' \({name}\) cannot be written as ONNX"):
        to_onnx(model)
    model.save(tmp_path / "m.keras")
    with pytest.raises(
        UntrustedModelError, match=rf"layer 'tested' is '.*{name}', which is not a plain layer"
    ) as error:
        load_model(tmp_path / "m.keras", "k")
    assert error.value.hint == instead_of(name)


def test_a_sequential_archive_says_how_to_save_it(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(3)])
    model.save(tmp_path / "m.keras")
    with pytest.raises(UntrustedModelError, match="which is not a plain layer") as error:
        load_model(tmp_path / "m.keras", "k")
    assert error.value.hint == "save keras.Model(model.inputs, model.outputs) instead"
    keras.Model(model.inputs, model.outputs).save(tmp_path / "m.keras")
    load_model(tmp_path / "m.keras", "k")
