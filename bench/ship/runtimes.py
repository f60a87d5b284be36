"""Every backbone's and every layer's exported file in the programs of devices, beside ONNX Runtime.

    .venv/bin/python bench/ship/runtimes.py --with "OpenCV 4.6=/path/to/python" ... [--out bench/results/runtimes.json]

Each `--with` names a Python that has numpy and one of cv2, onnxruntime, or ncnn with pnnx. Each program opens each
file in a separate process, computes one image of 64x64, and is compared with the ONNX Runtime of this environment.
Layers are the networks of tests/unit/models/test_layer_kinds.py.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
SIDE, CLASSES = 64, 10
# Larger differences are no rounding: in float32, float16 and int8.
SAME = {"float32": 1e-4, "float16": 0.01, "int8": 0.1}
TIMEOUT_S = 300
# One architecture for each way of writing the file that is not fp32 with channels first.
WAYS_OF = ("resnet_18", "mobilenet_v2", "efficientnet-b0")


def main() -> None:
    """Print a line a network; write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--with", dest="programs", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--only", choices=("backbones", "ways", "layers"), action="append")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(_computed(options.child)))
        return
    programs = dict(word.split("=", 1) for word in options.programs)
    report: dict[str, dict[str, Any]] = {}
    for kind in options.only or ("backbones", "ways", "layers"):
        report[kind] = {}
        for name, content in _networks(kind):
            report[kind][name] = _in_all(content, programs)
            print(kind, name, json.dumps(report[kind][name]["programs"]), flush=True)
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")


def _networks(kind: str) -> Iterator[tuple[str, bytes]]:
    """Name and ONNX file of each network of a kind."""
    sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from secateur.keras_to_onnx.writer import to_onnx

    if kind == "layers":
        from tests.unit.models.test_layer_kinds import CASES, network

        for name, bodies in CASES.items():
            for place, body in enumerate(bodies):
                yield f"{name} {place}", to_onnx(network(body)).SerializeToString()
        return
    from secateur.spec.architectures import ARCHITECTURES

    for arch in ARCHITECTURES if kind == "backbones" else WAYS_OF:
        yield from ((arch, _backbone(arch)),) if kind == "backbones" else _in_all_ways(arch)


def _model(arch: str, **options: Any) -> Any:
    import keras
    from secateur.spec import ModelSpec
    from secateur.spec.architectures import FIXED, family_name
    from secateur.zoo import build

    keras.utils.set_random_seed(0)
    norm = "use_batch_norm" not in FIXED[family_name(arch)]
    spec = ModelSpec(arch=arch, use_batch_norm=norm, input_image_size=(3, SIDE, SIDE), **options)
    model = build(spec, CLASSES)
    _disturb(model)
    _calm(model)
    return model


def _disturb(model: Any) -> None:
    """Statistics of batch normalisation that are not those of a fresh network, near enough to keep deep ones steady."""
    import numpy as np
    from keras import layers

    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            gamma, beta, _, variance = layer.get_weights()
            near = [rng.uniform(0.9, 1.1, gamma.shape), *(rng.normal(0, 0.05, beta.shape) for _ in range(2))]
            layer.set_weights([*near, rng.uniform(0.9, 1.1, variance.shape)])


def _calm(model: Any) -> None:
    """Scale the last layer with weights, so that the probabilities are not 0 and 1: equal answers would mean little."""
    import keras
    import numpy as np

    last = [layer for layer in model.layers if getattr(layer, "kernel", None) is not None][-1]
    images = np.random.default_rng(1).normal(size=(4, SIDE, SIDE, 3)).astype("float32")
    before = keras.Model(model.inputs, last.output)(images, training=False)
    last.set_weights([weight / max(float(np.std(before)), 1e-12) for weight in last.get_weights()])


def _backbone(arch: str) -> bytes:
    from secateur.keras_to_onnx.writer import to_onnx

    return bytes(to_onnx(_model(arch)).SerializeToString())


def _in_all_ways(arch: str) -> Iterator[tuple[str, bytes]]:
    """The forms in which `export` can write one network."""
    import numpy as np
    from secateur.export.embed import with_preprocessing
    from secateur.keras_to_onnx.half import to_half
    from secateur.keras_to_onnx.tf2onnx_route import to_onnx_by_tf2onnx
    from secateur.keras_to_onnx.writer import to_onnx
    from secateur.quantization.calibration import measured_ranges
    from secateur.quantization.qdq import quantised
    from secateur.spec import parse_spec

    yield f"{arch} relu6", to_onnx(_model(arch, activation_type="relu6")).SerializeToString()
    model = _model(arch)
    yield f"{arch} Gemm not transposed", _not_transposed(to_onnx(model)).SerializeToString()
    if arch == "resnet_18":
        yield f"{arch} tf2onnx", to_onnx_by_tf2onnx(model).SerializeToString()
    yield f"{arch} nhwc", to_onnx(model, "nhwc").SerializeToString()
    yield f"{arch} opset 18", to_onnx(model, opset=18).SerializeToString()
    yield f"{arch} fp16", to_half(to_onnx(model)).SerializeToString()
    for mode in ("torch", "caffe"):
        spec = parse_spec(f"data: {{preprocess_mode: {mode}}}\nmodel: {{input_image_size: [3, {SIDE}, {SIDE}]}}\n")
        yield f"{arch} embedded {mode}", with_preprocessing(to_onnx(model), spec).SerializeToString()
    images = np.random.default_rng(0).normal(size=(8, SIDE, SIDE, 3)).astype("float32")
    ranges = measured_ranges(to_onnx(model), [images.transpose(0, 3, 1, 2)], "minmax")
    for flavour in ("onnxruntime", "tensorrt"):
        yield f"{arch} int8 {flavour}", quantised(to_onnx(model), ranges, flavour).SerializeToString()


def _not_transposed(proto: Any) -> Any:
    """The same network with its dense layers as this project wrote them before, and other converters do."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Gemm":
            kernel = constants[node.input[1]]
            kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel).T, kernel.name))
            del node.attribute[:]
    return proto


def _in_all(content: bytes, programs: dict[str, str]) -> dict[str, Any]:
    """What each program makes of a file: the largest difference from ONNX Runtime, or the error."""
    import numpy as np
    import onnxruntime
    from secateur.export.onnx_features import features_of
    from secateur.quantization.exact import exact_options

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "m.onnx").write_bytes(content)
        session = onnxruntime.InferenceSession(content, exact_options(), providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0]
        values = np.random.default_rng(1).normal(size=[1, *given.shape[1:]])
        fed = values.astype("float32") if "float" in given.type else (np.abs(values) * 100 % 255).astype("uint8")
        np.save(Path(folder, "given.npy"), fed)
        np.save(Path(folder, "expected.npy"), session.run(None, {given.name: fed})[0])
        found = {name: _by(python, folder) for name, python in programs.items()}
    features = features_of(content)
    limit = SAME["int8" if "QuantizeLinear" in features else "float16" if "half precision" in features else "float32"]
    for answer in found.values():
        answer["takes"] = answer.get("difference", 1) < limit
    return {"features": features, "programs": found}


def _by(python: str, folder: str) -> dict[str, Any]:
    words = [python, __file__, "--child", folder]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"not done in {TIMEOUT_S} s"}
    if done.returncode:
        return {"error": f"exit code {done.returncode}"}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _computed(folder: Path) -> dict[str, Any]:
    """In another environment, which has nothing of secateur."""
    import numpy as np

    given, expected = np.load(folder / "given.npy"), np.load(folder / "expected.npy")
    try:
        version, answer = _answer(folder, given, str(expected.shape))
    except Exception as error:
        return {"error": re.sub(r"/\S+/", "", " ".join(str(error).split()))[-240:]}
    if answer.size != expected.size:
        return {"version": version, "error": f"{answer.size} numbers, not {expected.size}"}
    difference = float(np.abs(answer.reshape(expected.shape) - expected).max())
    return {"version": version, "difference": float(f"{difference:.1e}")}


def _answer(folder: Path, given: Any, shape: str) -> tuple[str, Any]:
    from importlib.util import find_spec

    model = str(folder / "m.onnx")
    if find_spec("ncnn"):
        return _by_ncnn(folder, given)
    if find_spec("cv2"):
        import cv2

        network = cv2.dnn.readNetFromONNX(model)
        network.setInput(given)
        return cv2.__version__, network.forward()
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return onnxruntime.__version__, session.run(None, {session.get_inputs()[0].name: given})[0]


def _by_ncnn(folder: Path, given: Any) -> tuple[str, Any]:
    """Convert with pnnx and compute with ncnn, in float32."""
    from importlib.metadata import version
    from importlib.util import find_spec

    import ncnn
    import numpy as np

    place = find_spec("pnnx")
    program = Path(str(place.origin)).with_name("pnnx")  # type: ignore[union-attr]
    sides = ",".join(map(str, given.shape))
    kind = "f32" if given.dtype == np.float32 else "u8"
    words = [str(program), "m.onnx", f"inputshape=[{sides}]{kind}", "fp16=0"]
    subprocess.run(words, cwd=folder, capture_output=True, check=False)
    if not (folder / "m.ncnn.param").exists():
        raise ValueError("pnnx writes no file")
    network = ncnn.Net()
    network.opt.use_fp16_packed = network.opt.use_fp16_storage = network.opt.use_fp16_arithmetic = False
    network.opt.use_bf16_storage = False
    if network.load_param(str(folder / "m.ncnn.param")) or network.load_model(str(folder / "m.ncnn.bin")):
        raise ValueError("ncnn does not load what pnnx wrote")
    with network.create_extractor() as extractor:
        extractor.input("in0", ncnn.Mat(np.ascontiguousarray(given[0])).clone())
        code, made = extractor.extract("out0")
    if code:
        raise ValueError(f"ncnn: extract returned {code}")
    return f"ncnn {ncnn.__version__}, pnnx {version('pnnx')}", np.array(made)


if __name__ == "__main__":
    main()
