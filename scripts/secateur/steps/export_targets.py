"""Write files for other programs than ONNX Runtime and TensorRT: TFLite (LiteRT), OpenVINO, a page for browsers."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras

from secateur.errors import ModelError
from secateur.export.exported_files import Exported
from secateur.export.final_model import FinalModel, Pixels
from secateur.export.input_scaling import preprocessing_of
from secateur.export.onnx_content import onnx_content
from secateur.export.parity import require_agreement
from secateur.export.runners import onnx_runner, openvino_runner, tflite_runner
from secateur.export.web_page import web_page
from secateur.quantization.calibration import Calibration
from secateur.run import Run
from secateur.runtime.quiet import silenced
from secateur.steps.calibrate import calibration_paths, read_calibration
from secateur.steps.export_parity import parity_of
from secateur.steps.exported_model import onnx_metadata
from secateur.storage.atomic import write_bytes, write_text

# A function that writes a file and returns its parity figures.
WriteTarget = Callable[[Run, FinalModel, Exported, Path], dict[str, Any]]
# Imported package that runs the files of a target -> the package that installs it.
PACKAGES = {"tflite": ("ai_edge_litert", "ai-edge-litert"), "openvino": ("openvino", "openvino")}


def _require_package(form: str) -> None:
    module, package = PACKAGES[form]
    if importlib.util.find_spec(module) is None:
        raise ModelError(f"export.targets: {form} needs the package {package}", f"pip install {package}")


def write_tflite(run: Run, final: FinalModel, file: Exported, target: Path) -> dict[str, Any]:
    """Write a `.tflite` file with float32 input (scaled pixels, NHWC) and output, and int8 inside if `file` is int8.

    Raises:
        ModelError: the packages are missing, TensorFlow cannot convert the network, or the file answers differently.
    """
    _require_package("tflite")
    content = _tflite(run, final, file.data_type)
    parity = parity_of(run, final, file, tflite_runner(content, run.spec, run.threads))
    require_agreement(parity, run.spec)
    write_bytes(target, content)
    return parity


def _tflite(run: Run, final: FinalModel, data_type: str) -> bytes:
    if keras.backend.backend() != "tensorflow":
        raise ModelError("export.targets tflite needs the TensorFlow backend", "unset KERAS_BACKEND")
    import tensorflow as tf  # noqa: PLC0415 - only this target needs it
    from tensorflow.python.framework.convert_to_constants import (  # noqa: PLC0415
        convert_variables_to_constants_v2 as frozen,
    )

    signature = tf.TensorSpec((1, *final.model.input_shape[1:]), tf.float32, name="input_1")
    answer = tf.function(lambda images: final.model(images, training=False))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen(answer.get_concrete_function(signature))])
    if data_type == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _one_by_one(run)
    try:
        with silenced():
            return bytes(converter.convert())
    except Exception as error:
        raise ModelError(
            f"TensorFlow cannot convert the model to TFLite: {error}", "remove the target tflite"
        ) from error


def _one_by_one(run: Run) -> Iterator[list[Any]]:
    for batch in Pixels(run.spec, calibration_paths(run)).scaled():
        for image in batch:
            yield [image[None]]


def write_openvino(run: Run, final: FinalModel, file: Exported, target: Path) -> dict[str, Any]:
    """Write OpenVINO's `.xml` and `.bin` files, with the same network and precision as the ONNX file.

    Raises:
        ModelError: the package is missing, or the files answer differently.
    """
    _require_package("openvino")
    import openvino  # noqa: PLC0415 - an extra

    network = openvino.Core().read_model(onnx_content(final, file, _ranges(run, file), onnx_metadata(run, final)))
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".openvino-") as folder:
        made = Path(folder) / target.name
        openvino.save_model(network, made, compress_to_fp16=False)
        parity = parity_of(run, final, file, openvino_runner(made, run.spec, run.threads, exact=True))
        require_agreement(parity, run.spec)
        parity |= _integers_of_this_cpu(run, final, file, made)
        for suffix in (".bin", ".xml"):
            write_bytes(target.with_suffix(suffix), made.with_suffix(suffix).read_bytes())
    return parity


def _integers_of_this_cpu(run: Run, final: FinalModel, file: Exported, path: Path) -> dict[str, Any]:
    """What an int8 file answers in the integers of this CPU: the device may have a CPU that clips no sums."""
    if file.data_type != "int8":
        return {}
    clipped = parity_of(run, final, file, openvino_runner(path, run.spec, run.threads))
    return {"on_this_cpu": {name: clipped[name] for name in ("top_1_agreement", "max_difference", "accuracy")}}


def write_web(run: Run, final: FinalModel, file: Exported, target: Path) -> dict[str, Any]:
    """Write a page that runs the model in a browser, with the same network and precision as the ONNX file.

    Raises:
        ModelError: ONNX Runtime for the web is not installed, or the network answers differently.
    """
    content = onnx_content(final, file, _ranges(run, file), onnx_metadata(run, final))
    page = web_page({**preprocessing_of(run.spec), "labels": final.classes, "title": run.name}, content)
    parity = parity_of(run, final, file, onnx_runner(content, run.spec, run.threads))
    require_agreement(parity, run.spec)
    write_text(target, page)
    return parity


def _ranges(run: Run, file: Exported) -> Calibration | None:
    return read_calibration(run) if file.needs_ranges else None


TARGETS: dict[str, WriteTarget] = {"tflite": write_tflite, "openvino": write_openvino, "web": write_web}
