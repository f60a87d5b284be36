"""The other converter: tf2onnx on TensorFlow. Tests compare our writer with it, and a spec can choose it."""

from __future__ import annotations

import keras
import onnx
from onnx import helper

from secateur.errors import ModelError
from secateur.keras_to_onnx.tensor_names import INPUT_NAME, OUTPUT_NAME
from secateur.vault.age import ONNX_END


def to_onnx_by_tf2onnx(
    model: keras.Model, layout: str = "nchw", opset: int = 13, metadata: dict[str, str] | None = None
) -> onnx.ModelProto:
    """Convert a model with tf2onnx; otherwise as `writer.to_onnx`.

    Raises:
        ModelError: the backend is not TensorFlow, or tf2onnx fails.
    """
    if keras.backend.backend() != "tensorflow":
        raise ModelError("export.converter tf2onnx needs the TensorFlow backend", "set export.converter: direct")
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=INPUT_NAME)]
    nchw = [INPUT_NAME] if layout == "nchw" else None
    try:
        proto, _ = tf2onnx.convert.from_keras(model, signature, opset=opset, inputs_as_nchw=nchw)
    except (ValueError, RuntimeError, AttributeError) as error:
        raise ModelError(f"tf2onnx cannot convert '{model.name}': {error}", "set export.converter: direct") from error
    _rename_output(proto)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    helper.set_model_props(proto, {**(metadata or {}), "complete": ONNX_END.decode()})
    onnx.checker.check_model(proto)
    return proto


def _rename_output(proto: onnx.ModelProto) -> None:
    old = proto.graph.output[0].name
    for node in proto.graph.node:
        node.output[:] = [OUTPUT_NAME if name == old else name for name in node.output]
        node.input[:] = [OUTPUT_NAME if name == old else name for name in node.input]
    proto.graph.output[0].name = OUTPUT_NAME
