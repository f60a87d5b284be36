"""A model repository for NVIDIA Triton: `config.pbtxt`, the labels and, if it is not encrypted, the model."""

from __future__ import annotations

import json

from secateur.export.input_scaling import preprocessing_of
from secateur.keras_to_onnx.tensor_names import INPUT_NAME, OUTPUT_NAME
from secateur.spec import Spec

TYPES = {"float32": "TYPE_FP32", "uint8": "TYPE_UINT8", "uint16": "TYPE_UINT16"}
DEFAULT_MAX_BATCH = 8


def triton_config(spec: Spec, name: str, classes: int) -> str:
    """The text of `config.pbtxt` (Triton's ModelConfig, protobuf text)."""
    given = preprocessing_of(spec)["input"]
    channels, height, width = spec.model.input_image_size
    dims = [channels, height, width] if given["layout"] == "NCHW" else [height, width, channels]
    return f"""name: {json.dumps(name)}
backend: "onnxruntime"
max_batch_size: {spec.export.max_batch_size or DEFAULT_MAX_BATCH}
input [
  {{
    name: "{INPUT_NAME}"
    data_type: {TYPES[given["type"]]}
    dims: [ {", ".join(map(str, dims))} ]
  }}
]
output [
  {{
    name: "{OUTPUT_NAME}"
    data_type: TYPE_FP32
    dims: [ {classes} ]
    label_filename: "labels.txt"
  }}
]
dynamic_batching {{ }}
"""
