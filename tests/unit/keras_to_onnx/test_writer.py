"""The ONNX writer: against Keras through ONNX Runtime, and against tf2onnx."""

import keras
import numpy as np
import onnx
import pytest
from keras import layers
from secateur.data.preprocessing import preprocess
from secateur.errors import ModelError
from secateur.export.input_scaling import preprocessing_of
from secateur.keras_to_onnx.tf2onnx_route import to_onnx_by_tf2onnx
from secateur.keras_to_onnx.writer import to_onnx
from secateur.pruning import prune
from secateur.spec import ModelSpec, PruneSpec, parse_spec
from secateur.vault.age import ONNX_END
from secateur.zoo import build

from tests.onnx_files import run_onnx


def randomised(model, seed=0):
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


def images(model, count=2):
    return np.random.default_rng(1).normal(size=(count, *model.input_shape[1:])).astype("float32")


def difference(model, proto, layout="nchw", count=2):
    given = images(model, count)
    return np.abs(run_onnx(proto.SerializeToString(), given, layout) - np.asarray(model(given, training=False))).max()


@pytest.mark.parametrize(
    "options",
    [
        {"arch": "resnet_18"},
        {"arch": "resnet_50", "use_pooling": True, "use_bias": True},
        {"arch": "resnet_10", "use_batch_norm": False, "retain_head": True, "activation_type": "leaky_relu"},
        {"arch": "efficientnet-b0"},
        {"arch": "efficientnet-b1", "retain_head": True, "activation_type": "relu6"},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_zoo_pruned_and_not(options, layout):
    model = randomised(build(ModelSpec(input_image_size="3,37,64", **{"use_batch_norm": True, **options}), 5))
    narrow, _ = prune(model, PruneSpec(threshold=1.0))
    for network in (model, narrow):
        assert difference(network, to_onnx(network, layout), layout) < 1e-5


def test_names_shapes_and_any_batch_size():
    model = build(ModelSpec(arch="resnet_10", input_image_size="1,32,40"), 3)
    proto = to_onnx(model)
    given, made = proto.graph.input[0], proto.graph.output[0]
    assert (given.name, made.name) == ("input_1", "predictions")
    sides = [dim.dim_param or dim.dim_value for dim in given.type.tensor_type.shape.dim]
    assert sides == ["batch", 1, 32, 40]
    assert proto.opset_import[0].version == 13
    for count in (1, 2, 7):
        assert difference(model, proto, count=count) < 1e-5


@pytest.mark.parametrize("opset", [13, 17, 18])
def test_opsets(opset):
    model = randomised(build(ModelSpec(arch="resnet_10", use_batch_norm=True, input_image_size="3,32,32"), 3))
    assert difference(model, to_onnx(model, opset=opset)) < 1e-5


def test_batch_normalisation_is_folded():
    model = build(ModelSpec(arch="efficientnet-b0", input_image_size="3,32,32"), 3)
    kinds = [node.op_type for node in to_onnx(model).graph.node]
    assert "BatchNormalization" not in kinds
    assert kinds.count("Add") == len([layer for layer in model.layers if isinstance(layer, layers.Add)])


@pytest.mark.parametrize("arch", ["resnet_10", "efficientnet-b0"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_tf2onnx_agrees(arch, layout):
    model = randomised(build(ModelSpec(arch=arch, use_batch_norm=True, input_image_size="3,32,48"), 5))
    proto = to_onnx_by_tf2onnx(model, layout)
    assert (proto.graph.input[0].name, proto.graph.output[0].name) == ("input_1", "predictions")
    assert difference(model, proto, layout) < 1e-5
    given = images(model)
    ours, theirs = (run_onnx(p.SerializeToString(), given, layout) for p in (to_onnx(model, layout), proto))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def oddments(x):
    """Every layer that the writer knows and the zoo does not use."""
    x = layers.ZeroPadding2D(((1, 2), (0, 3)))(x)
    x = layers.Conv2D(6, 3, strides=2, padding="same", dilation_rate=1, activation="relu")(x)
    y = layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same", groups=2)(x))
    x = layers.Subtract()([layers.Maximum()([x, y]), layers.Minimum()([x, y])])
    x = layers.Average()([layers.ReLU(max_value=3)(x), layers.ELU(alpha=0.5)(y), layers.Activation("tanh")(x)])
    x = layers.Concatenate()(
        [layers.MaxPooling2D(3, 2, padding="same")(x), layers.AveragePooling2D(3, 2, padding="same")(x)]
    )
    x = layers.Concatenate(axis=1)([x, layers.Softmax()(x)])
    x = layers.SpatialDropout2D(0.2)(layers.BatchNormalization()(x))
    flat = layers.Flatten()(layers.Reshape((2, -1, 12))(x))
    pooled = layers.Multiply()([layers.GlobalMaxPooling2D()(x), layers.GlobalAveragePooling2D()(x)])
    joined = layers.Concatenate()([flat, layers.BatchNormalization()(pooled)])
    return layers.Dense(3, activation="softmax")(layers.BatchNormalization()(layers.Dense(5)(joined)))


def test_other_layers():
    inputs = keras.Input((12, 10, 4))
    model = randomised(keras.Model(inputs, oddments(inputs)))
    assert difference(model, to_onnx(model)) < 1e-5


@pytest.mark.parametrize("arch", ["mobilenet_v2", "resnet_10"])
def test_a_convolution_does_the_padding_before_it(arch):
    model = build(ModelSpec(arch=arch, use_batch_norm=True, padding="symmetric", input_image_size="3,33,48"), 3)
    assert [layer for layer in model.layers if isinstance(layer, layers.ZeroPadding2D)]
    proto = to_onnx(randomised(model))
    assert not [node for node in proto.graph.node if node.op_type == "Pad"]
    assert difference(model, proto) < 1e-5


def test_a_padding_that_others_read_too_is_a_node():
    inputs = keras.Input((8, 8, 3))
    padded = layers.ZeroPadding2D(((0, 1), (2, 0)))(inputs)
    joined = layers.Concatenate()([layers.Conv2D(4, 3)(padded), layers.MaxPooling2D(3, 1)(padded)])
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(joined)))
    proto = to_onnx(model)
    assert [node.op_type for node in proto.graph.node].count("Pad") == 1
    assert difference(model, proto) < 1e-5


def test_an_unknown_layer_is_named():
    inputs = keras.Input((8, 8, 3))
    x = layers.Flatten()(layers.UnitNormalization(name="unit")(inputs))
    with pytest.raises(ModelError, match=r"layer 'unit' \(UnitNormalization\)"):
        to_onnx(keras.Model(inputs, layers.Dense(2)(x)))


def test_metadata_and_ending():
    model = build(ModelSpec(arch="resnet_10", input_image_size="3,32,32"), 3)
    content = to_onnx(model, metadata={"classes": '["a"]'}).SerializeToString()
    assert content.endswith(ONNX_END)
    assert {entry.key for entry in onnx.load_from_string(content).metadata_props} == {"classes", "complete"}


@pytest.mark.parametrize("mode", ["caffe", "torch", "tf"])
@pytest.mark.parametrize(("channels", "depth"), [(3, 8), (1, 8), (1, 16)])
def test_preprocessing_json_says_what_preprocess_does(mode, channels, depth):
    spec = parse_spec(
        f"data: {{preprocess_mode: {mode}}}\n"
        f"model: {{input_image_size: [{channels}, 32, 48], input_image_depth: {depth}}}"
    )
    card = preprocessing_of(spec)
    pixels = np.random.default_rng(0).integers(0, 2**depth, (4, 4, channels)).astype(np.float32)
    ordered = pixels[..., ::-1] if card["channel_order"] == "BGR" else pixels
    expected = (ordered - np.array(card["mean"])) * np.array(card["scale"])
    np.testing.assert_allclose(preprocess(pixels, mode, None, depth), expected, rtol=1e-4, atol=1e-5)
    assert (card["height"], card["width"], card["input"]["layout"]) == (32, 48, "NCHW")
