"""Half precision: weights and sums in float16, the softmax in float32."""

from __future__ import annotations

import onnx
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from secateur.keras_to_onnx.check import checked, with_shapes


def to_half(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Turn a network into float16; its input and output stay float32.

    Returns:
        The checked model. It reuses parts of `proto`, which must not be used afterwards.
    """
    # The converter's own shape inference would copy all weights.
    half = convert_float_to_float16(
        with_shapes(proto),
        keep_io_types=True,
        disable_shape_infer=True,
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, "Softmax"],
    )
    # The conversion appends its casts to the list, but ONNX needs each tensor's producer before its readers.
    model = OnnxModel(half)
    model.topological_sort()
    # The shapes were only needed for the conversion, and some still name the old type.
    del model.model.graph.value_info[:]
    return checked(model.model)
