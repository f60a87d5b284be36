"""ONNX' own checker and shape inference, without the copies of all weights that they make."""

from __future__ import annotations

import onnx
from onnx import helper

# Smaller constants can matter for shapes, such as the target of a Reshape or the limits of a Clip.
LIGHT_BYTES = 1 << 12


def checked(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Check a model and the shapes of all its tensors. Only type and shape of the weights are used.

    Returns:
        `proto`, unchanged.

    Raises:
        onnx.checker.ValidationError, onnx.shape_inference.InferenceError: the model is not valid.
    """
    onnx.checker.check_model(_light(proto), full_check=True)
    return proto


def with_shapes(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Write the type and shape of every tensor into the model. Returns the changed `proto`."""
    inferred = onnx.shape_inference.infer_shapes(_light(proto), strict_mode=True)
    proto.graph.value_info.extend(inferred.graph.value_info)
    return proto


def _light(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with its weights turned into inputs."""
    light = onnx.ModelProto(ir_version=proto.ir_version, opset_import=proto.opset_import)
    graph = proto.graph
    light.graph.name = graph.name
    light.graph.node.extend(graph.node)
    light.graph.output.extend(graph.output)
    light.graph.input.extend(graph.input)
    for tensor in graph.initializer:
        if len(tensor.raw_data) < LIGHT_BYTES:
            light.graph.initializer.append(tensor)
        else:
            light.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return light
