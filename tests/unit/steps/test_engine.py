"""The engine step against a stand-in for TensorRT 10 and 11 (`stand_ins`): no GPU is at hand.

What TensorRT makes of a network is not tested here; that it gets what its bindings take, and that pixels and answers
go through whole, is.
"""

import importlib
import json
import sys

import numpy as np
import pytest
from secateur.errors import ModelError
from secateur.export.embed import with_preprocessing
from secateur.export.engine_options import engine_options, engine_source
from secateur.export.exported_files import exported_files
from secateur.export.input_scaling import layout_inside
from secateur.export.runners import onnx_runner
from secateur.keras_to_onnx.half import to_half
from secateur.keras_to_onnx.writer import to_onnx
from secateur.spec import parse_spec
from secateur.steps.engine import engine_runner, serialized_engine
from secateur.zoo import build

MODEL = "model: {arch: resnet_10, input_image_size: [3, 32, 48]}\n"
VINTAGES = ("10.9.0.34", "11.4.0.106")


def exported(spec, classes=3):
    """The bytes of a fresh network as `export` writes it for TensorRT."""
    proto = to_onnx(build(spec.model, classes), layout_inside(spec), 13)
    if engine_source(spec).data_type == "fp16":
        proto = to_half(proto)
    return (with_preprocessing(proto, spec) if spec.export.embed_preprocessing else proto).SerializeToString()


@pytest.mark.parametrize("version", VINTAGES)
@pytest.mark.parametrize(
    "export",
    [
        "{layout: nchw, min_batch_size: 2, opt_batch_size: 2, max_batch_size: 4, max_workspace_size: 0.5}",
        "{layout: nhwc, engine_data_type: fp16}",
        "{embed_preprocessing: True, max_batch_size: 3}",
    ],
)
def test_every_image_has_the_answer_of_the_file(version, export, tensorrt):
    tensorrt.pretend(version)
    spec = parse_spec(f"export: {export}\n{MODEL}")
    content, options = exported(spec), engine_options(spec)
    engine = serialized_engine(content, options)
    pixels = np.random.default_rng(0).integers(0, 256, (11, 32, 48, 3), np.uint8)
    expected = onnx_runner(content, spec)(pixels)
    with engine_runner(engine, spec, options) as runner:
        for count in (11, 1, 4):
            np.testing.assert_allclose(runner(pixels[:count]), expected[:count], atol=1e-5)
    cuda = sys.modules["cuda.bindings.runtime"]
    assert not cuda.ALLOCATED
    assert not cuda.STREAMS
    about = json.loads(engine.partition(b"\0")[0])
    assert about["typed"] == version.startswith("11")
    flags = ["FP16"] if "fp16" in export else []
    assert about["flags"] == (flags if version.startswith("10") else [])
    assert about["workspace"] == options.workspace_mib << 20
    assert about["shapes"] == [list(shape) for shape in options.shapes().values()]


@pytest.mark.parametrize(
    ("export", "expected"),
    [
        ("{}", [("m.onnx", "fp32", "onnxruntime")]),
        ("{data_type: fp16, engine_data_type: fp16}", [("m.onnx", "fp16", "onnxruntime")]),
        ("{engine_data_type: fp16}", [("m.onnx", "fp32", "onnxruntime"), ("m.tensorrt.onnx", "fp16", "tensorrt")]),
        ("{data_type: int8}", [("m.onnx", "int8", "onnxruntime"), ("m.tensorrt.onnx", "int8", "tensorrt")]),
        (
            "{data_type: int8, engine_data_type: fp32}",
            [("m.onnx", "int8", "onnxruntime"), ("m.tensorrt.onnx", "fp32", "tensorrt")],
        ),
    ],
)
def test_an_engine_has_a_file_of_its_own_precision(export, expected):
    """TensorRT 11 builds what the file says, and cannot read the integers of ONNX Runtime's file."""
    spec = parse_spec(f"export: {{output_path: a/m.onnx, {export[1:]}\n{MODEL}")
    assert [(file.name, file.data_type, file.form) for file in exported_files(spec)] == expected
    assert engine_source(spec).data_type == spec.engine_type


@pytest.mark.parametrize(
    ("state", "said"),
    [({"gpu": False}, "it finds no GPU"), ({"builds": False}, "TensorRT could not build the engine")],
)
def test_what_tensorrt_refuses_is_one_clear_error(state, said, tensorrt):
    tensorrt.pretend(VINTAGES[0], **state)
    spec = parse_spec(MODEL)
    with pytest.raises(ModelError, match=said):
        serialized_engine(exported(spec), engine_options(spec))


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tensorrt):
    with pytest.raises(ModelError, match=r"TensorRT cannot read the exported model: .+"):
        serialized_engine(b"no network", engine_options(parse_spec(MODEL)))


def test_a_gpu_without_memory_is_one_clear_error_and_leaks_nothing(tensorrt, monkeypatch):
    spec = parse_spec(MODEL)
    options = engine_options(spec)
    engine = serialized_engine(exported(spec), options)
    cuda = importlib.import_module("cuda.bindings.runtime")
    monkeypatch.setattr(cuda, "MEMORY", 1000)
    with pytest.raises(ModelError, match="CUDA: cudaErrorMemoryAllocation"), engine_runner(engine, spec, options):
        pass
    assert not cuda.ALLOCATED
    assert not cuda.STREAMS
