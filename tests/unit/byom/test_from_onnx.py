"""ONNX files of keras.applications as Keras models again: the same numbers, plain layers, prunable, exportable."""

import keras
import numpy as np
import onnx
import pytest
from keras import layers
from onnx import TensorProto, helper, numpy_helper
from secateur.byom.from_onnx import keras_from_onnx
from secateur.cli.main import main
from secateur.errors import ModelError
from secateur.keras_to_onnx.writer import to_onnx
from secateur.models.file import load_model, save_model
from secateur.models.layer_kinds import ALLOWED_LAYERS
from secateur.pruning import prune
from secateur.spec import PruneSpec

from tests.onnx_files import exported, randomise, run_onnx

APPLICATIONS = [
    ("MobileNetV2", 17, False),
    ("MobileNetV3Small", 15, True),
    ("MobileNet", 11, False),
    pytest.param("EfficientNetB0", 13, False, marks=pytest.mark.slow),
    pytest.param("ResNet50", 18, True, marks=pytest.mark.slow),
    pytest.param("DenseNet121", 16, False, marks=pytest.mark.slow),
    pytest.param("InceptionV3", 12, True, marks=pytest.mark.slow),
    pytest.param("VGG16", 14, False, marks=pytest.mark.slow),
]
# The others reshape to a number of channels.
NARROWED = ("VGG16", "ResNet50", "DenseNet121", "InceptionV3")


def narrow(network):
    """The same layers with an eighth of the filters and units: tf2onnx takes many gigabytes for all of them."""

    def narrowed(layer):
        config = layer.get_config()
        for key in ("filters", "units"):
            if config.get(key, 0) > 10:
                config[key] //= 8
        return type(layer).from_config(config)

    return keras.models.clone_model(network, clone_function=narrowed)


@pytest.mark.parametrize(("name", "opset", "nchw"), APPLICATIONS)
def test_keras_applications_through_tf2onnx(tmp_path, name, opset, nchw):
    side = 96 if name == "InceptionV3" else 64
    network = getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3), classes=10)
    if name in NARROWED:
        network = narrow(network)
    randomise(network)
    path = exported(network, tmp_path / "m.onnx", opset, nchw)
    imported = keras_from_onnx(path)
    assert imported.difference < 1e-5
    assert {type(layer).__name__ for layer in imported.model.layers} <= ALLOWED_LAYERS
    images = np.random.default_rng(3).normal(size=(2, side, side, 3)).astype("float32")
    np.testing.assert_allclose(imported.model(images), network(images), atol=1e-5)


def test_what_was_imported_is_saved_pruned_and_exported(tmp_path):
    network = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), classes=4, alpha=0.35)
    randomise(network)
    model = keras_from_onnx(exported(network, tmp_path / "m.onnx")).model
    save_model(model, tmp_path / "m.tltb", "k", {})
    again, _ = load_model(tmp_path / "m.tltb", "k")
    narrow, report = prune(again, PruneSpec(threshold=0.9))
    assert report.after.params < 0.9 * report.before.params
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    by_onnx = run_onnx(to_onnx(narrow).SerializeToString(), images, "nchw")
    np.testing.assert_allclose(by_onnx, narrow(images), atol=1e-5)


def graph(tmp_path, nodes, constants=(), sides=(3, 8, 8), opset=17, outputs=("y",)):
    """A file of hand-made nodes from `x` to the outputs."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *sides])
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in dict(constants).items()]
    proto = helper.make_model(
        helper.make_graph(nodes, "g", [given], made, weights),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )
    onnx.save(onnx.shape_inference.infer_shapes(proto), tmp_path / "g.onnx")
    return tmp_path / "g.onnx"


def f32(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


SMALL_GRAPHS = {
    "max pool of negatives": [
        helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    ],
    "ceil mode": [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["y"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    ],
    "average that counts its pads": [
        helper.make_node(
            "AveragePool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, count_include_pad=1
        )
    ],
    "average that does not": [
        helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4)
    ],
    "same lower": [
        helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER")
    ],
    "same upper": [
        helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
    ],
    "dilated": [helper.make_node("Conv", ["x", "w"], ["y"], dilations=[2, 2], pads=[2] * 4)],
    "depthwise with a multiplier": [helper.make_node("Conv", ["x", "d"], ["y"], group=3)],
    "flatten and dense": [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Relu", ["f"], ["r"]),
        helper.make_node("Gemm", ["r", "m", "b"], ["y"], alpha=0.5, beta=2.0),
    ],
    "reshape with -1": [helper.make_node("Reshape", ["x", "s"], ["f"]), helper.make_node("MatMul", ["f", "m"], ["y"])],
    "numbers and channels": [
        helper.make_node("Sub", ["one", "x"], ["a"]),
        helper.make_node("Mul", ["a", "c"], ["b2"]),
        helper.make_node("Div", ["b2", "two"], ["y"]),
    ],
    "hard sigmoid of ONNX": [helper.make_node("HardSigmoid", ["x"], ["y"])],
    "activations": [
        helper.make_node("LeakyRelu", ["x"], ["a"], alpha=0.2),
        helper.make_node("Elu", ["a"], ["b2"], alpha=0.7),
        helper.make_node("Tanh", ["b2"], ["t"]),
        helper.make_node("Softplus", ["t"], ["u"]),
        helper.make_node("Sigmoid", ["u"], ["v"]),
        helper.make_node("Clip", ["v", "zero", "two"], ["y"]),
    ],
    "channels last and back": [
        helper.make_node("Transpose", ["x"], ["n"], perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["n", "k"], ["o"]),
        helper.make_node("Add", ["o", "kb"], ["p"]),
        helper.make_node("Transpose", ["p"], ["y"], perm=[0, 3, 1, 2]),
    ],
    "mean, squeezed": [
        helper.make_node("Mul", ["x", "x"], ["q"]),
        helper.make_node("ReduceMean", ["q"], ["y"], axes=[2, 3], keepdims=0),
    ],
}
CONSTANTS = {
    "w": f32(5, 3, 3, 3),
    "d": f32(6, 1, 3, 3),
    "m": f32(192, 4),
    "b": f32(4),
    "s": np.array([0, -1], np.int64),
    "one": np.array(1, np.float32),
    "two": np.array(2, np.float32),
    "zero": np.array(0, np.float32),
    "c": f32(1, 3, 1, 1),
    "k": f32(3, 7),
    "kb": f32(7),
}


@pytest.mark.parametrize("name", SMALL_GRAPHS)
def test_small_graphs(tmp_path, name):
    nodes = SMALL_GRAPHS[name]
    used = {given for node in nodes for given in node.input}
    path = graph(tmp_path, nodes, {key: array for key, array in CONSTANTS.items() if key in used}, opset=13)
    assert keras_from_onnx(path).difference < 1e-5


# Spellings of functions that have a layer of their own.
SPELLINGS = {
    "Gelu": [("Div", "x", "root"), ("Erf", 0), ("Add", 1, "one"), ("Mul", "x", 2), ("Mul", 3, "half")],
    "Gelu halved first": [("Mul", "x", "half"), ("Mul", "x", "unroot"), ("Erf", 1), ("Add", "one", 2), ("Mul", 0, 3)],
    "HardSwish": [("Add", "x", "three"), ("Clip", 0, "zero", "six"), ("Mul", 1, "sixth"), ("Mul", 2, "x")],
    "HardSwish divided": [("Add", "x", "three"), ("Clip", 0, "zero", "six"), ("Mul", "x", 1), ("Div", 2, "six")],
    "Silu": [("Sigmoid", "x"), ("Mul", "x", 0)],
    "Mish": [("Softplus", "x"), ("Tanh", 0), ("Mul", 1, "x")],
}
LAYER_OF = {"Gelu": "gelu", "HardSwish": "hard_silu", "Silu": "silu", "Mish": "mish"}
NUMBERS = {"root": 2**0.5, "unroot": 0.5**0.5, "one": 1, "half": 0.5, "three": 3, "six": 6, "sixth": 1 / 6, "zero": 0}


@pytest.mark.parametrize("name", SPELLINGS)
def test_spelled_out_functions_become_one_layer(tmp_path, name):
    steps = SPELLINGS[name]
    nodes = []
    for number, (op, *operands) in enumerate(steps):
        inputs = [f"t{part}" if isinstance(part, int) else part for part in operands]
        nodes.append(helper.make_node(op, inputs, ["y" if number == len(steps) - 1 else f"t{number}"]))
    numbers = {key: np.array(value, np.float32) for key, value in NUMBERS.items()}
    used = {given for node in nodes for given in node.input}
    path = graph(tmp_path, nodes, {key: array for key, array in numbers.items() if key in used})
    imported = keras_from_onnx(path)
    assert imported.difference < 1e-5
    activation = [layer for layer in imported.model.layers if isinstance(layer, layers.Activation)]
    assert [layer.activation.__name__ for layer in activation] == [LAYER_OF[name.split()[0]]]


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("axis", [-1, 1])
def test_a_spelled_out_layer_normalisation_becomes_one_layer(tmp_path, opset, axis):
    def mean(given, made):
        if opset < 18:
            return helper.make_node("ReduceMean", [given], [made], axes=[axis])
        return helper.make_node("ReduceMean", [given, "axes"], [made])

    shape = (6,) if axis == -1 else (1, 6, 1, 1)
    constants = {"g": f32(*shape), "b": f32(*shape, seed=1), "e": np.float32(1e-6), "p": np.float32(2)}
    if opset >= 18:
        constants["axes"] = np.array([axis], np.int64)
    last = ["n"] if axis == -1 else ["x2"]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["x2"]),
        helper.make_node("Transpose", ["x2"], ["n"], perm=[0, 2, 3, 1]),
        mean(*last, "m"),
        helper.make_node("Sub", [*last, "m"], ["s"]),
        helper.make_node("Pow", ["s", "p"], ["q"]),
        mean("q", "v"),
        helper.make_node("Add", ["v", "e"], ["ve"]),
        helper.make_node("Sqrt", ["ve"], ["sd"]),
        helper.make_node("Div", ["s", "sd"], ["z"]),
        helper.make_node("Mul", ["z", "g"], ["zg"]),
        helper.make_node("Add", ["zg", "b"], ["zb"]),
        helper.make_node("ReduceMean", ["zb"], ["y"], axes=[1, 2] if axis == -1 else [2, 3])
        if opset < 18
        else helper.make_node("ReduceMean", ["zb", "spatial"], ["y"]),
    ]
    if opset >= 18:
        constants["spatial"] = np.array([1, 2] if axis == -1 else [2, 3], np.int64)
    imported = keras_from_onnx(graph(tmp_path, nodes, {"w": f32(6, 3, 1, 1), **constants}, opset=opset))
    assert imported.difference < 1e-4
    assert [type(layer).__name__ for layer in imported.model.layers].count("LayerNormalization") == 1
    images = f32(2, 8, 8, 3, seed=5)
    flat = keras.Model(imported.model.input, layers.Flatten()(imported.model.output))
    np.testing.assert_allclose(run_onnx(to_onnx(flat).SerializeToString(), images, "nchw"), flat(images), atol=1e-5)


def test_all_that_cannot_be_converted_is_named_at_once(tmp_path):
    nodes = [
        helper.make_node("Sin", ["x"], ["a"], name="wave"),
        helper.make_node("Relu", ["a"], ["b2"], name="fine"),
        helper.make_node("InstanceNormalization", ["x", "c", "c"], ["d"], name="instance"),
        helper.make_node("Clip", ["x", "low", "one"], ["e"], name="clamp"),
        helper.make_node("Sum", ["b2", "d", "e"], ["y"], name="total"),
    ]
    constants = {"c": f32(3), "low": np.float32(-1), "one": np.float32(1)}
    with pytest.raises(ModelError) as caught:
        keras_from_onnx(graph(tmp_path, nodes, constants))
    for said in (
        "4 nodes",
        "Sin 'wave'",
        "InstanceNormalization 'instance'",
        "Clip 'clamp': it clips from -1 to 1",
        "Sum 'total'",
    ):
        assert said in caught.value.message


def test_cut(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="/stem/conv"),
        helper.make_node("Relu", ["c"], ["r"], name="/stem/relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["y"], name="pool"),
    ]
    path = graph(tmp_path, nodes, {"w": CONSTANTS["w"]})
    for cut in ("/stem/relu", "r"):
        imported = keras_from_onnx(path, cut)
        assert imported.model.output_shape == (None, 6, 6, 5)
        assert [layer.name for layer in imported.model.layers] == ["Input", "stem_conv", "stem_relu"]
    with pytest.raises(ModelError, match="--cut nowhere: the graph has no such node") as caught:
        keras_from_onnx(path, "nowhere")
    assert "/stem/relu" in caught.value.hint


@pytest.mark.parametrize(
    ("opset", "sides", "said"), [(10, (3, 8, 8), "operator set 10"), (17, (5, 8, 8), "nor 3 channels")]
)
def test_files_that_are_not_for_images_or_too_old(tmp_path, opset, sides, said):
    path = graph(tmp_path, [helper.make_node("Relu", ["x"], ["y"])], sides=sides, opset=opset)
    with pytest.raises(ModelError, match=said):
        keras_from_onnx(path)


def test_a_fixed_batch_is_no_hindrance(tmp_path):
    path = graph(tmp_path, [helper.make_node("Conv", ["x", "w"], ["y"])], {"w": CONSTANTS["w"]})
    proto = onnx.load(path)
    for info in (proto.graph.input[0], proto.graph.output[0]):
        info.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(proto, path)
    assert keras_from_onnx(path).difference < 1e-5


def test_a_changing_size_is_refused(tmp_path):
    path = graph(tmp_path, [helper.make_node("Relu", ["x"], ["y"])])
    proto = onnx.load(path)
    for info in (proto.graph.input[0], proto.graph.output[0]):
        info.type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(proto, path)
    with pytest.raises(ModelError, match="one batch of images of fixed size"):
        keras_from_onnx(path)


def test_a_keras_file_is_taken_as_well(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BYOM_KEY", "k")
    network = keras.applications.MobileNet(weights=None, input_shape=(32, 32, 3), classes=4, alpha=0.25)
    network.save(tmp_path / "m.keras")
    output = tmp_path / "models" / "m.tltb"
    words = ["byom", str(tmp_path / "m.keras"), "-o", str(output), "--key", "env:BYOM_KEY"]
    assert main(words) == 0
    assert "model.input_image_size: [3, 32, 32]" in capsys.readouterr().err
    again, card = load_model(output, "k")
    assert card["byom"]["file"] == "m.keras"
    for one, other in zip(again.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert main([*words, "--cut", "conv1"]) == 2
