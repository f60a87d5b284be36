"""Weights of another model: by name and shape, pruned networks as they are, with a report."""

import http.server
import threading

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from secateur.cli.main import main
from secateur.errors import ModelError, UntrustedModelError
from secateur.models.file import save_model
from secateur.pruning import prune
from secateur.spec import ModelSpec, PruneSpec
from secateur.training.pretrained import start_from
from secateur.zoo import build
from secateur.zoo.keras_applications import CLASSES, NEEDED_OPTIONS

SPEC = ModelSpec(arch="resnet_10", use_batch_norm=True, input_image_size="3,32,32")


def saved(model, path, **card):
    save_model(model, path, "k", card)
    return path


def test_body_is_taken_and_another_head_is_left(tmp_path):
    source = build(SPEC, 7)
    model, report = start_from(build(SPEC, 4), saved(source, tmp_path / "m.tlt"), "k", SPEC)
    np.testing.assert_array_equal(model.get_layer("conv1").get_weights()[0], source.get_layer("conv1").get_weights()[0])
    assert report.new_head == ["predictions_dense"]
    assert not report.missing
    assert not report.mismatched
    assert str(report).endswith("; new head: predictions_dense")


def test_a_pruned_network_replaces_because_its_file_says_so(tmp_path):
    narrow, _ = prune(build(SPEC, 4), PruneSpec(threshold=1.0))
    model, report = start_from(build(SPEC, 4), saved(narrow, tmp_path / "p.tlt", pruned=True), "k", SPEC)
    assert report.replaced
    assert model.count_params() == narrow.count_params()


def test_other_shapes_without_that_word_do_not_replace(tmp_path):
    narrow, _ = prune(build(SPEC, 4), PruneSpec(threshold=1.0))
    fresh = build(SPEC, 4)
    with pytest.raises(ModelError, match="no layer matches"):
        start_from(fresh, saved(narrow, tmp_path / "p.tlt"), "k", SPEC)


@pytest.mark.parametrize(
    ("spec", "classes", "end"),
    [(SPEC, 5, "output"), (ModelSpec(arch="resnet_10", input_image_size="3,48,48"), 4, "input")],
)
def test_a_pruned_network_must_fit_the_spec(tmp_path, spec, classes, end):
    with pytest.raises(ModelError, match=f"network's {end} is"):
        start_from(build(spec, classes), saved(build(SPEC, 4), tmp_path / "p.tlt", pruned=True), "k", SPEC)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_plain_files_of_ours(tmp_path, suffix):
    source = build(SPEC, 4)
    (source.save if suffix == ".keras" else source.save_weights)(tmp_path / f"m{suffix}")
    model, report = start_from(build(SPEC, 4), tmp_path / f"m{suffix}", "k", SPEC)
    assert not (report.missing or report.mismatched or report.new_head)
    for one, other in zip(model.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("here", "there"), [("1", "3"), ("3", "1")])
def test_the_stem_is_adapted_to_the_channels(tmp_path, here, there):
    """A gray image gives the same features as the colour image of three equal channels."""
    specs = {count: ModelSpec(arch="resnet_10", input_image_size=f"{count},32,32") for count in (here, there)}
    source = build(specs[there], 4)
    source.save_weights(tmp_path / "m.weights.h5")
    model, report = start_from(build(specs[here], 4), tmp_path / "m.weights.h5", "k", specs[here])
    assert "conv1: the kernel" in str(report)
    gray = np.random.default_rng(0).normal(size=(2, 32, 32, 1)).astype("float32")
    colour = np.repeat(gray, 3, axis=3)
    by_source, by_model = (
        np.asarray(network(colour if network.input_shape[-1] == 3 else gray, training=False))
        for network in (source, model)
    )
    np.testing.assert_allclose(by_model, by_source, atol=1e-5)


def randomise(model, seed=0):
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])


def theirs(arch, size, classes):
    """The network of keras.applications with random weights; for EfficientNet without its scaling layers."""
    keras.utils.set_random_seed(1)
    maker = getattr(keras.applications, CLASSES[arch])
    extra = {"dropout": 0.0} if arch.startswith("mobilenet_v1") else {}
    model = maker(weights=None, include_top=True, classes=classes, input_shape=(*size, 3), **extra)
    randomise(model)
    scaling = [layer for layer in model.layers if isinstance(layer, layers.Normalization)]
    return model, keras.Model(scaling[0].output, model.output) if scaling else model


DEEP = ("efficientnet-b7", "resnet_152", "vgg_19")
# Of their families the shallowest and the deepest; test_every_backbone.py counts the parameters of each.
BETWEEN = (*(f"efficientnet-b{variant}" for variant in range(1, 7)), "resnet_101")


@pytest.mark.parametrize(
    "arch",
    [pytest.param(arch, marks=pytest.mark.slow) if arch in DEEP else arch for arch in CLASSES if arch not in BETWEEN],
)
def test_weights_of_keras_applications_give_equal_outputs(tmp_path, arch):
    size = (64, 64) if arch.startswith(("vgg", "mobilenet")) else (64, 96)
    reference, behind = theirs(arch, size, 7)
    suffix = ".keras" if arch in ("resnet_50", "efficientnet-b0", "mobilenet_v2") else ".weights.h5"
    (reference.save if suffix == ".keras" else reference.save_weights)(tmp_path / f"m{suffix}")
    family = next(family for family in NEEDED_OPTIONS if arch.startswith(family))
    options = {} if family == "efficientnet" else NEEDED_OPTIONS[family]
    spec = ModelSpec(arch=arch, input_image_size=(3, *size), retain_head=True, **options)
    model, report = start_from(build(spec, 7), tmp_path / f"m{suffix}", "k", spec)
    assert not (report.missing or report.mismatched or report.new_head), str(report)
    images = np.random.default_rng(1).normal(size=(2, *size, 3)).astype("float32")
    if arch.startswith("resnet"):
        # TAO's own head flattens a 7x7 pool; behind the last activation the heads are the same functions.
        last = [layer.name for layer in model.layers if layer.name.endswith("_act_3")][-1]
        model = keras.Model(model.input, model.get_layer(last).output)
        behind = keras.Model(behind.input, behind.layers[-3].output)
    expected = np.asarray(behind(images, training=False))
    np.testing.assert_allclose(
        np.asarray(model(images, training=False)), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max()
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"arch": "resnet_50"},
            "model.use_pooling: True, model.use_batch_norm: True, model.use_bias: True, model.padd",
        ),
        ({"arch": "mobilenet_v2", "use_batch_norm": True}, "set model.padding: same, model.activation_type: relu6"),
        ({"arch": "vgg_16", "use_bias": True}, "set model.use_pooling: True"),
        ({"arch": "efficientnet-b0", "activation_type": "relu"}, "set model.activation_type: swish"),
    ],
)
def test_options_that_their_weights_need_are_named(tmp_path, options, said):
    maker = getattr(keras.applications, CLASSES[options["arch"]])
    maker(weights=None, include_top=False, input_shape=(32, 32, 3)).save_weights(tmp_path / "m.weights.h5")
    spec = ModelSpec(input_image_size="3,32,32", **options)
    with pytest.raises(ModelError, match="need another variant") as caught:
        start_from(build(spec, 4), tmp_path / "m.weights.h5", "k", spec)
    assert said in caught.value.hint


def legacy_file(model, path):
    """As keras.applications' own downloads are laid out: a group a layer, names as attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            keys = [f"{layer.name}/{number}" for number in range(len(layer.weights))]
            group.attrs["weight_names"] = [key.encode() for key in keys]
            for key, array in zip(keys, layer.get_weights(), strict=True):
                group.create_dataset(key, data=array)


def test_a_downloaded_file_of_keras_applications(tmp_path):
    reference = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3))
    legacy_file(reference, tmp_path / "mobilenet_1_0_224_tf_no_top.h5")
    spec = ModelSpec(arch="mobilenet_v1", input_image_size="3,32,32", **NEEDED_OPTIONS["mobilenet_v1"])
    model, report = start_from(build(spec, 4), tmp_path / "mobilenet_1_0_224_tf_no_top.h5", "k", spec)
    assert (report.new_head, report.missing, report.preprocess_mode) == (["predictions_dense"], [], "tf")
    kernel = model.get_layer("conv_pw_13").get_weights()[0]
    np.testing.assert_array_equal(kernel, reference.get_layer("conv_pw_13").get_weights()[0])


def test_weights_that_are_no_numbers_name_the_layer(tmp_path):
    source = build(SPEC, 4)
    kernel = source.get_layer("block_2a_conv_1").get_weights()
    source.get_layer("block_2a_conv_1").set_weights([np.full_like(kernel[0], np.nan), *kernel[1:]])
    with pytest.raises(UntrustedModelError, match="layer 'block_2a_conv_1' holds NaN"):
        start_from(build(SPEC, 4), saved(source, tmp_path / "m.tlt"), "k", SPEC)


@pytest.fixture
def file_server(tmp_path, monkeypatch):
    """keras.applications' server stands on loopback, with a file of random weights."""
    module = keras.src.applications.mobilenet
    (tmp_path / "cache").mkdir()  # Keras takes a shared folder of the system when this one is not there
    monkeypatch.setattr(keras.src.backend.config, "_KERAS_DIR", str(tmp_path / "cache"))
    (tmp_path / "www").mkdir()
    reference = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(224, 224, 3))
    reference.save_weights(tmp_path / "a.weights.h5")
    (tmp_path / "a.weights.h5").rename(tmp_path / "www" / "mobilenet_1_0_224_tf_no_top.h5")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path / "www"))

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(module, "BASE_WEIGHT_PATH", address)
    # Keras loads what it downloads by the old layout; ours is of the new one.
    monkeypatch.setattr(keras.Model, "load_weights", lambda model, path: model.set_weights(reference.get_weights()))
    yield server
    server.shutdown()
    server.server_close()


def test_weights_command(tmp_path, file_server, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["weights", "MobileNet_V1"]) == 0
    said = capsys.readouterr().out
    assert "train.pretrained_model_path: weights/mobilenet_v1.weights.h5" in said
    assert "model.activation_type: relu6" in said
    spec = ModelSpec(arch="mobilenet_v1", input_image_size="3,32,32", **NEEDED_OPTIONS["mobilenet_v1"])
    _, report = start_from(build(spec, 4), tmp_path / "weights/mobilenet_v1.weights.h5", "k", spec)
    assert (report.missing, report.new_head) == ([], ["predictions_dense"])


def test_weights_command_without_a_network(tmp_path, file_server, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file_server.shutdown()
    file_server.server_close()
    assert main(["weights", "mobilenet_v1"]) == 74
    said = capsys.readouterr().err
    assert "error: cannot download the weights of mobilenet_v1" in said
    assert "hint: where there is a network save keras.applications.MobileNet()" in said
    assert not (tmp_path / "weights").exists() or not list((tmp_path / "weights").iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"), [(["resnet_18"], "has no weights for resnet_18"), (["lenet"], "unknown")]
)
def test_weights_command_names_what_there_is(arguments, said, capsys):
    assert main(["weights", *arguments]) == 2
    assert said in capsys.readouterr().err
