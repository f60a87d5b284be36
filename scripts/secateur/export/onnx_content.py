"""From the Keras network to the bytes of an ONNX file of one precision."""

from __future__ import annotations

import json
from typing import Any

import onnx

from secateur.errors import ModelError
from secateur.export.embed import with_preprocessing
from secateur.export.final_model import Source
from secateur.keras_to_onnx.half import to_half
from secateur.models.provenance import card_of, link
from secateur.quantization.placement import Flavour
from secateur.quantization.qdq import quantised
from secateur.run import Exported
from secateur.steps.calibrate import Calibration


def onnx_content(source: Source, file: Exported, calibration: Calibration | None) -> bytes:
    """The serialised network.

    Args:
        source: what is exported.
        file: which file of it.
        calibration: for int8.

    Raises:
        ModelError: a layer that cannot be written, or a network that cannot be quantised.
    """
    spec = source.run.spec
    proto = source.plain_onnx(_metadata(source))
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


def _metadata(source: Source) -> dict[str, str]:
    run, card = source.run, source.card
    chain: list[dict[str, Any]] = [*card.get("provenance", []), link(run, "export", parent_sha256=card["sha256"])]
    return {name: json.dumps(value) for name, value in card_of(run, chain, source.classes).items()}
