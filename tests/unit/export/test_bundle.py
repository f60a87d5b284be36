"""Row P2 of docs/reliability.md: every file beside the model, parsed back, says what the spec does."""

import configparser
import importlib.util
import json
import re
import subprocess

import numpy as np
import pytest
from secateur.data.preprocessing import preprocess
from secateur.export.bundle.nvinfer import nvinfer_config, nvinfer_labels
from secateur.export.bundle.triton import triton_config
from secateur.export.bundle.trtexec import trtexec_script
from secateur.export.engine_options import engine_options, engine_source
from secateur.export.input_scaling import preprocessing_of
from secateur.spec import parse_spec

MODEL = "model: {arch: resnet_10, input_image_size: [3, 32, 48]}\n"


def parsed_nvinfer(spec):
    config = configparser.ConfigParser()
    config.read_string(nvinfer_config(spec, engine_source(spec), spec.engine_type, ["a", "b"]))
    return config["property"]


@pytest.mark.parametrize("mode", ["caffe", "torch", "tf"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_nvinfer_scales_pixels_as_training_does(mode, layout):
    spec = parse_spec(
        f"data: {{preprocess_mode: {mode}}}\nexport: {{layout: {layout}, output_path: a/m.onnx}}\n{MODEL}"
    )
    found = parsed_nvinfer(spec)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.float32)
    ordered = pixels[..., ::-1] if found["model-color-format"] == "1" else pixels
    offsets = np.array([float(value) for value in found["offsets"].split(";")])
    np.testing.assert_allclose(
        float(found["net-scale-factor"]) * (ordered - offsets), preprocess(pixels, mode), atol=1e-4
    )
    assert found["infer-dims"] == ("3;32;48" if layout == "nchw" else "32;48;3")
    assert found["network-input-order"] == ("0" if layout == "nchw" else "1")
    assert (found["onnx-file"], found["network-mode"], found["network-type"]) == ("m.onnx", "0", "1")
    assert nvinfer_labels(["a", "b c"]) == "a;b c\n"


def test_a_class_with_a_semicolon_has_no_labels_for_nvinfer():
    """It would be two labels, and every class after it would have the label of another one."""
    spec = parse_spec(MODEL)
    for text in (nvinfer_labels(["a;b", "c"]), nvinfer_config(spec, engine_source(spec), "fp32", ["a;b", "c"])):
        assert text.startswith("# ")
        assert "the class 'a;b' has a semicolon" in text
        assert text.count("\n") == 1


def test_nvinfer_reads_the_int8_file_of_tensorrt():
    spec = parse_spec(f"export: {{data_type: int8, output_path: a/m.etlt}}\n{MODEL}")
    text = nvinfer_config(spec, engine_source(spec), spec.engine_type, ["a", "b"])
    assert "onnx-file=m.tensorrt.onnx" in text
    assert "network-mode=1" in text
    assert "secateur decrypt m.tensorrt.etlt -o m.tensorrt.onnx" in text


@pytest.mark.parametrize(
    "what",
    ["export: {embed_preprocessing: True}\n" + MODEL, "model: {input_image_size: [1, 32, 32], input_image_depth: 16}"],
)
def test_what_nvinfer_cannot_feed_is_said_and_not_written(what):
    spec = parse_spec(what)
    text = nvinfer_config(spec, engine_source(spec), "fp32", ["a", "b"])
    assert text.startswith("# nvinfer cannot feed this model: ")
    assert "[property]" not in text


@pytest.mark.parametrize(
    ("export", "kind", "dims"),
    [
        ("{layout: nchw}", "TYPE_FP32", [3, 32, 48]),
        ("{layout: nhwc, max_batch_size: 32}", "TYPE_FP32", [32, 48, 3]),
        ("{embed_preprocessing: True}", "TYPE_UINT8", [32, 48, 3]),
    ],
)
def test_triton_takes_what_the_file_takes(export, kind, dims):
    spec = parse_spec(f"export: {export}\n{MODEL}")
    text = triton_config(spec, 'odd "name"', 7)
    given, made = re.findall(r"dims: \[ ([0-9, ]+) \]", text)
    assert [int(side) for side in given.split(",")] == dims
    assert made == "7"
    assert f"data_type: {kind}" in text
    assert json.loads(re.search(r"name: (.*)", text)[1]) == 'odd "name"'
    assert f"max_batch_size: {spec.export.max_batch_size or 8}\n" in text
    about = preprocessing_of(spec)
    assert f'name: "{about["input"]["name"]}"' in text
    assert f'name: "{about["output"]["name"]}"' in text


V1 = """
export:
  {output_path: a/m.onnx, data_type: int8, engine_file: e.engine, max_workspace_size: 4, min_batch_size: 2,
   opt_batch_size: 4, max_batch_size: 16}
"""
V2 = """
export: {onnx_file: a/m.onnx}
gen_trt_engine:
  onnx_file: x.onnx
  trt_engine: e.engine
  tensorrt:
    {data_type: int8, max_workspace_size: 4, min_batch_size: 2, opt_batch_size: 4, max_batch_size: 16,
     calibration: {cal_image_dir: images, cal_cache_file: c, cal_batch_size: 8, cal_batches: 10}}
"""


@pytest.mark.parametrize(
    ("text", "key"), [(V1, "export.engine_file"), (V2, "gen_trt_engine.trt_engine")], ids=["V1", "V2"]
)
def test_engine_options_of_either_vintage(text, key, tmp_path):
    spec = parse_spec(f"{text}\n{MODEL}")
    options = engine_options(spec)
    assert (options.data_type, options.workspace_mib, options.batches) == ("int8", 4096, (2, 4, 16))
    assert spec.export.engine_file == "e.engine"
    if importlib.util.find_spec("tensorrt") is None:
        said = [str(notice) for notice in spec.notices if "TensorRT is not installed on this machine" in str(notice)]
        assert said == [f"warning: {key}: TensorRT is not installed on this machine: no engine is built"]
    assert spec.export.calibration_images == (80 if text == V2 else 512)
    script = tmp_path / "trtexec.sh"
    script.write_text(trtexec_script(options, engine_source(spec)))
    said = run_with_fake_trtexec(script, tmp_path, flags=True)
    assert said == (
        "--onnx=m.tensorrt.onnx --saveEngine=m.tensorrt.engine --minShapes=input_1:2x3x32x48 "
        "--optShapes=input_1:4x3x32x48 --maxShapes=input_1:16x3x32x48 --memPoolSize=workspace:4096 --int8 --fp16 --more"
    )
    assert "--int8" not in run_with_fake_trtexec(script, tmp_path, flags=False), "TensorRT 11 has no such flag"


def run_with_fake_trtexec(script, folder, flags):
    """The script is a program: it is run, with a stand-in that prints its words."""
    stand_in = folder / "trtexec"
    stand_in.write_text(f'#!/bin/sh\n[ "$1" = --help ] && echo "{"--fp16" if flags else ""}" && exit\necho "$@"\n')
    stand_in.chmod(0o755)
    done = subprocess.run(
        ["sh", str(script), "--more"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": f"{folder}:/usr/bin:/bin"},
    )
    return done.stdout.strip()
