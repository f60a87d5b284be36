"""Half precision: a network whose weights and sums are float16, with a softmax in float32."""

from __future__ import annotations

import onnx
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from secateur.export.checked import checked


def to_half(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A float16 copy whose input and output stay float32."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    half = convert_float_to_float16(copy, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, "Softmax"])
    # The conversion leaves its casts at the end of the list, and ONNX wants makers before readers.
    model = OnnxModel(half)
    model.topological_sort()
    return checked(model.model)
