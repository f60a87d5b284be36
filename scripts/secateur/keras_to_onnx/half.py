"""Half precision: a network whose weights and sums are float16, with a softmax in float32."""

from __future__ import annotations

import onnx
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from secateur.keras_to_onnx.check import checked, with_shapes


def to_half(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Turn a network into float16; its input and output stay float32.

    Returns:
        The checked model, made of `proto`, which must not be used any more.
    """
    # Its own inference of shapes would copy all weights.
    half = convert_float_to_float16(
        with_shapes(proto),
        keep_io_types=True,
        disable_shape_infer=True,
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, "Softmax"],
    )
    # The conversion leaves its casts at the end of the list, and ONNX wants makers before readers.
    model = OnnxModel(half)
    model.topological_sort()
    # Shapes were for the conversion; some name the type from before.
    del model.model.graph.value_info[:]
    return checked(model.model)
