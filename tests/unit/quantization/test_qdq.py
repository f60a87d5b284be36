"""Where and how a network is quantised: what ONNX Runtime makes of it, and what TensorRT will read."""

import numpy as np
import onnx
import pytest
from keras import layers
from onnx import numpy_helper
from secateur.errors import ModelError
from secateur.keras_to_onnx.writer import to_onnx
from secateur.pruning import prune
from secateur.quantization.calibration import measured_ranges
from secateur.quantization.integers import integer_check
from secateur.quantization.placement import Network, quantised_nodes
from secateur.quantization.qdq import quantised
from secateur.quantization.ranges import Ranges, ranges_from_json
from secateur.spec import PruneSpec

from tests.onnx_files import run_onnx
from tests.unit.quantization.networks import images, network


def batches(pixels):
    return [pixels.transpose(0, 3, 1, 2)]


def by_type(proto):
    kinds = {}
    for node in proto.graph.node:
        kinds.setdefault(node.op_type, []).append(node)
    return kinds


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
def test_int8_answers_nearly_as_float_and_all_layers_are_integers(method):
    model, pixels = network("mobilenet_v1" if method == "entropy" else "resnet_10"), images()
    if method == "entropy":  # its search takes a second a tensor: a short network
        model = layers_until(model, "conv_pw_1_act")
    proto = to_onnx(model)
    content = quantised(proto, measured_ranges(proto, batches(pixels), method), "onnxruntime").SerializeToString()
    check = integer_check(content)
    assert not check.floating
    assert len(check.integer) == len(Network(proto).weighted())
    exact, rounded = run_onnx(proto.SerializeToString(), pixels), run_onnx(content, pixels)
    spread = exact.std()
    assert np.abs(exact - rounded).mean() < (0.3 if method == "entropy" else 0.1) * spread
    assert len(content) < 0.3 * proto.ByteSize() or method == "entropy"


def layers_until(model, name):
    import keras

    x = layers.GlobalAveragePooling2D()(model.get_layer(name).output)
    return keras.Model(model.input, layers.Dense(4, activation="softmax")(x))


@pytest.mark.parametrize(
    "arch",
    ["efficientnet-b0", "googlenet", "squeezenet", "cspdarknet_tiny", "vgg_16", "alexnet"],
)
def test_every_kind_of_layer_becomes_integers(arch):
    options = {"use_batch_norm": False} if arch in ("squeezenet", "alexnet") else {}
    proto = to_onnx(network(arch, side=64 if arch == "alexnet" else 32, **options))
    side = 64 if arch == "alexnet" else 32
    ranges = measured_ranges(proto, batches(images(4, side)), "minmax")
    assert not integer_check(quantised(proto, ranges, "onnxruntime").SerializeToString()).floating


def test_a_pruned_network_too():
    narrow, _ = prune(network(), PruneSpec(target_macs=0.4))
    proto = to_onnx(narrow)
    ranges = measured_ranges(proto, batches(images()), "minmax")
    assert not integer_check(quantised(proto, ranges, "onnxruntime").SerializeToString()).floating


def test_tensorrt_gets_int8_with_zero_point_0_where_it_wants_it():
    proto = to_onnx(network())
    ranges = measured_ranges(proto, batches(images()), "minmax")
    made = quantised(proto, ranges, "tensorrt")
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    kinds, makers = by_type(made), {output: node for node in made.graph.node for output in node.output}
    for node in kinds["QuantizeLinear"]:
        zero = constants[node.input[2]]
        assert (zero.dtype, int(zero)) == (np.int8, 0)
        assert constants[node.input[1]].shape == ()
    for node in [*kinds["Conv"], *kinds["Gemm"]]:
        assert all(makers[name].op_type == "DequantizeLinear" for name in node.input[:2])
        kernel = makers[node.input[1]]
        assert constants[kernel.input[0]].dtype == np.int8
        assert constants[kernel.input[1]].ndim == 1, "one scale an output channel"
    for node in kinds["Add"]:
        assert [makers[name].op_type for name in node.input] == ["DequantizeLinear"] * 2, "both sides of a residual sum"
    answers = run_onnx(made.SerializeToString(), images())
    assert np.abs(answers - run_onnx(proto.SerializeToString(), images())).mean() < 0.05


def test_tensorrt_quantises_gates_and_leaves_a_swish_alone():
    proto = to_onnx(network("efficientnet-b0"))
    chosen = {node.name for node in quantised_nodes(Network(proto), "tensorrt")}
    assert "block2a_se_excite:0" in chosen
    assert "stem_activation:0" not in chosen
    chosen = {node.name for node in quantised_nodes(Network(proto), "onnxruntime")}
    assert {"stem_activation:0", "stem_activation_gate:0"} <= chosen


def test_folding_a_normalisation_leaves_the_integers_of_a_kernel_as_they_are():
    model = network()
    kernel = np.asarray(model.get_layer("block_1a_conv_1").kernel)
    proto = to_onnx(model)
    made = quantised(proto, measured_ranges(proto, batches(images()), "minmax"), "tensorrt")
    found = next(
        numpy_helper.to_array(t) for t in made.graph.initializer if t.name.startswith("block_1a_conv_1:0/kernel/q")
    )
    scale = np.abs(kernel).max(axis=(0, 1, 2)) / 127
    own = np.rint(kernel / scale).transpose(3, 2, 0, 1)
    signs = np.sign((found * own).sum(axis=(1, 2, 3), keepdims=True))
    assert (signs < 0).any(), "a scale below zero is part of the test"
    assert (np.abs(found - signs * own) <= 1).all()
    assert (found == signs * own).mean() > 0.999


def test_a_node_that_is_not_wanted_stays_in_float():
    proto = to_onnx(network())
    ranges = measured_ranges(proto, batches(images()), "minmax")
    made = quantised(proto, ranges, "onnxruntime", lambda node: not node.name.startswith("block_2a"))
    check = integer_check(made.SerializeToString())
    assert set(check.floating) == {"block_2a_conv_1", "block_2a_conv_2", "block_2a_conv_shortcut"}
    assert "conv1" in check.integer


def test_a_layer_normalisation_and_a_gelu_keep_their_insides_in_float():
    """ConvNeXt's block: what a convolution reads and makes is quantised, a variance is not."""
    import keras

    keras.utils.set_random_seed(0)
    given = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", name="c1")(given)
    x = layers.LayerNormalization(name="ln")(x)
    x = layers.Activation("gelu", name="gelu")(layers.Conv2D(16, 1, name="c2")(x))
    x = layers.Conv2D(8, 1, name="c3")(x)
    model = keras.Model(given, layers.Dense(4, activation="softmax", name="d")(layers.GlobalAveragePooling2D()(x)))
    proto, pixels = to_onnx(model), images(16, 16)
    made = quantised(proto, measured_ranges(proto, batches(pixels), "minmax"), "onnxruntime")
    squares = [node for node in made.graph.node if node.name == "ln_squared:0"]
    assert squares[0].input[0] == "ln_centred:0", "read as it is, not rounded"
    assert not integer_check(made.SerializeToString()).floating
    answers = run_onnx(made.SerializeToString(), pixels)
    assert np.abs(answers - run_onnx(proto.SerializeToString(), pixels)).max() < 0.02


def test_values_without_a_range_stay_in_float():
    proto = to_onnx(network())
    made = quantised(proto, Ranges({}, symmetric=False), "onnxruntime")
    assert "QuantizeLinear" not in by_type(made)


def test_metadata_and_ending_stay():
    proto = to_onnx(network(), metadata={"classes": '["a"]'})
    ranges = measured_ranges(proto, batches(images()), "minmax")
    content = quantised(proto, ranges, "onnxruntime").SerializeToString()
    assert content.endswith(proto.SerializeToString()[-20:])
    assert {entry.key for entry in onnx.load_from_string(content).metadata_props} == {"classes", "complete"}


def test_scales():
    ranges = Ranges({"signed": (-2.0, 1.0), "positive": (0.0, 5.0)}, symmetric=False)
    assert ranges.scale("signed", "tensorrt").scale == pytest.approx(2 / 127)
    found = ranges.scale("signed", "onnxruntime")
    assert (found.scale, found.zero_point, found.dtype) == (pytest.approx(3 / 255), 170, np.uint8)
    assert ranges.scale("positive", "onnxruntime").zero_point == 0
    trained = Ranges(ranges.of, symmetric=True)
    signed, positive = (trained.scale(name, "onnxruntime") for name in ("signed", "positive"))
    assert (signed.scale, signed.zero_point) == (trained.scale("signed", "tensorrt").scale, 128)
    assert (positive.scale, positive.zero_point) == (pytest.approx(5 / 255), 0), "both end where training cut off"
    assert ranges_from_json(ranges.as_json(), "x") == ranges


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"ranges": {"a": [1]}, "symmetric": True},
        {"ranges": {"a": [float("nan"), 1]}, "symmetric": True},
        {"ranges": {"a": [1, 2]}, "symmetric": True},
        {"ranges": {"a": [0, "x"]}, "symmetric": True},
    ],
)
def test_ranges_of_strangers(data):
    with pytest.raises(ModelError, match=r"model\.tlt"):
        ranges_from_json(data, "model.tlt")
