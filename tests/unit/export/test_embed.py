"""A network that takes plain pixels answers as one that takes scaled ones."""

import numpy as np
import onnx
import pytest
from secateur.data.preprocessing import preprocess
from secateur.export.embed import with_preprocessing
from secateur.export.input_scaling import fed, preprocessing_of
from secateur.keras_to_onnx.half import to_half
from secateur.keras_to_onnx.writer import to_onnx
from secateur.spec import ModelSpec, parse_spec
from secateur.zoo import build

from tests.onnx_files import run_onnx


@pytest.mark.parametrize("mode", ["caffe", "torch", "tf"])
@pytest.mark.parametrize(("channels", "depth"), [(3, 8), (1, 8), (1, 16)])
def test_plain_pixels_give_the_same_answer(mode, channels, depth):
    spec = parse_spec(
        f"data: {{preprocess_mode: {mode}}}\nexport: {{embed_preprocessing: True}}\n"
        f"model: {{arch: resnet_10, input_image_size: [{channels}, 32, 40], input_image_depth: {depth}}}"
    )
    model = build(ModelSpec(arch="resnet_10", input_image_size=(channels, 32, 40), use_batch_norm=True), 4)
    pixels = np.random.default_rng(0).integers(0, 2**depth, (3, 32, 40, channels))
    scaled = preprocess(pixels, mode, None, depth)
    expected = np.asarray(model(scaled, training=False))
    proto = with_preprocessing(to_onnx(model), spec)
    given = fed(pixels.astype(np.float32), spec)
    assert given.dtype == (np.uint16 if depth == 16 else np.uint8)
    np.testing.assert_allclose(run_onnx(proto.SerializeToString(), given, "nhwc"), expected, atol=2e-5)
    about = preprocessing_of(spec)
    assert about["input"] == {"name": "input_1", "layout": "NHWC", "type": given.dtype.name}
    assert (set(about["mean"]), set(about["scale"])) == ({0.0}, {1.0}), "nothing is left for others to do"
    assert about["channel_order"] == ("gray" if channels == 1 else "RGB")


def test_half_precision_keeps_its_ends_and_its_softmax_in_float32():
    proto = to_half(to_onnx(build(ModelSpec(arch="resnet_10", input_image_size=(3, 32, 32)), 4), metadata={"a": "b"}))
    kinds = {value.type.tensor_type.elem_type for value in [*proto.graph.input, *proto.graph.output]}
    assert kinds == {onnx.TensorProto.FLOAT}
    softmax = next(node for node in proto.graph.node if node.op_type == "Softmax")
    before = next(node for node in proto.graph.node if softmax.input[0] in node.output)
    assert (before.op_type, before.attribute[0].i) == ("Cast", onnx.TensorProto.FLOAT)
    weights = [tensor for tensor in proto.graph.initializer if len(tensor.dims) == 4]
    assert {tensor.data_type for tensor in weights} == {onnx.TensorProto.FLOAT16}
    assert proto.SerializeToString().endswith(
        to_onnx(build(ModelSpec(arch="resnet_10", input_image_size=(3, 32, 32)), 4)).SerializeToString()[-8:]
    )
