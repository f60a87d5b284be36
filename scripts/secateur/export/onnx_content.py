"""Convert the Keras network to the bytes of an ONNX file of one precision."""

from __future__ import annotations

import onnx

from secateur.errors import ModelError
from secateur.export.embed import with_preprocessing
from secateur.export.exported_files import Exported
from secateur.export.final_model import FinalModel
from secateur.keras_to_onnx.half import to_half
from secateur.quantization.calibration import Calibration
from secateur.quantization.placement import Flavour
from secateur.quantization.qdq import quantised


def onnx_content(final: FinalModel, file: Exported, calibration: Calibration | None, metadata: dict[str, str]) -> bytes:
    """The serialised network.

    Args:
        final: the network to export.
        file: the file to write.
        calibration: for int8.
        metadata: text entries of the file.

    Raises:
        ModelError: a layer cannot be written, or the network cannot be quantised.
    """
    spec = final.spec
    proto = final.plain_onnx(metadata)
    if file.data_type == "int8":
        proto = _in_integers(proto, file, calibration)
    elif file.data_type == "fp16":
        proto = to_half(proto)
    if spec.export.embed_preprocessing:
        proto = with_preprocessing(proto, spec)
    content: bytes = proto.SerializeToString()
    return content


def _in_integers(proto: onnx.ModelProto, file: Exported, calibration: Calibration | None) -> onnx.ModelProto:
    if calibration is None:
        raise ModelError(f"{file.name}: int8 needs export/calibration.json", "run the calibrate step")
    flavour: Flavour = "tensorrt" if file.form == "tensorrt" else "onnxruntime"
    return quantised(proto, calibration.ranges, flavour, calibration.wanted(proto))
