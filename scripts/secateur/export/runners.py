"""Programs that run an exported file: plain pixels in, probabilities out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from secateur.data.preprocessing import preprocess
from secateur.export.final_model import layout_inside
from secateur.keras_to_onnx.writer import INPUT_NAME, OUTPUT_NAME
from secateur.quantization.exact import exact_options
from secateur.spec import Spec

# [batch, height, width, channels] RGB, uint8 or float32 at depth 16 -> float32 [batch, classes]
Runner = Callable[[NDArray[np.generic]], NDArray[np.float32]]


def fed(pixels: NDArray[np.generic], spec: Spec) -> NDArray[np.generic]:
    """What the exported ONNX file takes for these pixels."""
    if spec.export.embed_preprocessing:
        return pixels.astype(np.uint16 if spec.model.input_image_depth == 16 else np.uint8)
    return scaled_input(pixels, spec)


def scaled_input(pixels: NDArray[np.generic], spec: Spec) -> NDArray[np.float32]:
    """Pixels scaled as in training, in the layout that the network takes scaled ones in."""
    scaled = _scaled(pixels, spec)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)) if layout_inside(spec) == "nchw" else scaled


def _scaled(pixels: NDArray[np.generic], spec: Spec) -> NDArray[np.float32]:
    return preprocess(pixels, spec.data.preprocess_mode, spec.data.image_mean, spec.model.input_image_depth)


def onnx_runner(content: bytes, spec: Spec) -> Runner:
    """ONNX Runtime on the CPU."""
    session = onnxruntime.InferenceSession(content, exact_options(), providers=["CPUExecutionProvider"])
    return lambda pixels: np.asarray(session.run([OUTPUT_NAME], {INPUT_NAME: fed(pixels, spec)})[0])


def openvino_runner(path: Path, spec: Spec) -> Runner:
    """OpenVINO on the CPU, at the precision of the file."""
    import openvino  # noqa: PLC0415 - an extra

    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda pixels: np.asarray(compiled(fed(pixels, spec))[0])


def tflite_runner(content: bytes, spec: Spec) -> Runner:
    """LiteRT on the CPU, one image at a time: scaled pixels, NHWC, float32."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - only where such a file is wanted

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def one(image: NDArray[np.float32]) -> NDArray[np.float32]:
        interpreter.set_tensor(given, image[np.newaxis])
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(made)[0])

    return lambda pixels: np.stack([one(image) for image in _scaled(pixels, spec)])
