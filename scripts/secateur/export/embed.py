"""Put the scaling of pixels into an ONNX network, so that programs need not do it (`export.embed_preprocessing`)."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from secateur.export.input_scaling import scaling_of
from secateur.keras_to_onnx.check import checked
from secateur.keras_to_onnx.common import NHWC_TO_NCHW
from secateur.keras_to_onnx.tensor_names import INPUT_NAME
from secateur.spec import Spec

SCALED = "scaled"


def with_preprocessing(proto: onnx.ModelProto, spec: Spec) -> onnx.ModelProto:
    """Change a network so that it takes pixels: uint8 (uint16 at depth 16) [batch, height, width, channels], RGB.

    Args:
        proto: a network that takes scaled pixels, NCHW; it is changed.
        spec: defines the scaling.

    Returns:
        `proto`.
    """
    channels, height, width = spec.model.input_image_size
    mean, scale, order = scaling_of(spec)
    graph = proto.graph
    for node in graph.node:
        node.input[:] = [SCALED if name == INPUT_NAME else name for name in node.input]
    nodes = [
        helper.make_node("Cast", [INPUT_NAME], ["pixels/float"], name="pixels/float", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels/float"], ["pixels/nchw"], name="pixels/nchw", perm=NHWC_TO_NCHW),
    ]
    last = "pixels/nchw"
    if order == "BGR":
        graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0], np.int64), "pixels/order"))
        nodes.append(
            helper.make_node("Gather", [last, "pixels/order"], ["pixels/ordered"], name="pixels/ordered", axis=1)
        )
        last = "pixels/ordered"
    for name, values in (("mean", mean), ("scale", scale)):
        array = np.array(values, np.float32).reshape(1, -1, 1, 1)
        graph.initializer.append(numpy_helper.from_array(array, f"pixels/{name}"))
    nodes.append(helper.make_node("Sub", [last, "pixels/mean"], ["pixels/centred"], name="pixels/centred"))
    nodes.append(helper.make_node("Mul", ["pixels/centred", "pixels/scale"], [SCALED], name=SCALED))
    before = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *before])
    kind = TensorProto.UINT16 if spec.model.input_image_depth == 16 else TensorProto.UINT8
    graph.input[0].CopyFrom(helper.make_tensor_value_info(INPUT_NAME, kind, ["batch", height, width, channels]))
    return checked(proto)
