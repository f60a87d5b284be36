"""Programs that run an exported file: they take pixels and return probabilities."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from secateur.export.input_scaling import fed, scaled_pixels
from secateur.keras_to_onnx.tensor_names import INPUT_NAME, OUTPUT_NAME
from secateur.quantization.exact import exact_options
from secateur.spec import Spec

# [batch, height, width, channels] RGB, uint8 or float32 at depth 16 -> float32 [batch, classes]
Runner = Callable[[NDArray[np.generic]], NDArray[np.float32]]


def onnx_runner(content: bytes, spec: Spec, threads: int | None = None) -> Runner:
    """A runner with ONNX Runtime on the CPU. Threads: None is one for each core, here and below."""
    session = onnxruntime.InferenceSession(content, exact_options(threads), providers=["CPUExecutionProvider"])
    return lambda pixels: np.asarray(session.run([OUTPUT_NAME], {INPUT_NAME: fed(pixels, spec)})[0])


def openvino_runner(path: Path, spec: Spec, threads: int | None = None, exact: bool = False) -> Runner:
    """A runner with OpenVINO on the CPU, in the precision of the file.

    Args:
        path: of the `.xml` file.
        spec: how the images are scaled.
        threads: as above.
        exact: compute what the file says, rounded values in float. Without it, an int8 file runs in the integers of
            this CPU, and an x86 CPU without VNNI clips sums of two products to 16 bits (docs/decisions/int8.md).
    """
    import openvino  # noqa: PLC0415 - an extra

    settings: dict[str, object] = {"INFERENCE_PRECISION_HINT": "f32", "LP_TRANSFORMS_MODE": not exact}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    return lambda pixels: np.asarray(compiled(fed(pixels, spec))[0])


def tflite_runner(content: bytes, spec: Spec, threads: int | None = None) -> Runner:
    """A runner with LiteRT on the CPU, one image at a time: scaled pixels, NHWC, float32."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - imported only for such files

    interpreter = Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def one(image: NDArray[np.float32]) -> NDArray[np.float32]:
        interpreter.set_tensor(given, image[np.newaxis])
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(made)[0])

    return lambda pixels: np.stack([one(image) for image in scaled_pixels(pixels, spec)])
