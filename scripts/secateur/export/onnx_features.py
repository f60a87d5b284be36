"""What a program must know to run an ONNX file: its operators, and forms of them that some programs cannot take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper

# Programs differ in the newest operator set that they read.
OPSETS = (13, 15)


def features_of(content: bytes) -> list[str]:
    """Operators and forms of a serialised network, as words for people, sorted."""
    proto = onnx.load_from_string(content)
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    makers = {output: node for node in proto.graph.node for output in node.output}
    found = {node.op_type for node in proto.graph.node}
    for node in proto.graph.node:
        found.update(_forms(node, constants))
        if node.op_type == "Mul" and any(_one_channel(name, makers, constants) for name in node.input):
            found.add("Mul with a map of one channel")
    opset = max(entry.version for entry in proto.opset_import if not entry.domain)
    found.update(f"operator set above {newest}" for newest in OPSETS if opset > newest)
    if any(tensor.data_type == TensorProto.FLOAT16 for tensor in constants.values()):
        found.add("half precision")
    if proto.graph.input[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        found.add("an input of integers")
    return sorted(found)


def _forms(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> Iterator[str]:
    """The forms of one node that are not its operator's plain form."""
    options: dict[str, Any] = {option.name: helper.get_attribute_value(option) for option in node.attribute}
    pads = list(options.get("pads", []))
    if node.op_type in ("ConvTranspose", "AveragePool") and pads[: len(pads) // 2] != pads[len(pads) // 2 :]:
        yield f"{node.op_type} with uneven pads"
    if node.op_type == "Conv" and set(options.get("kernel_shape", [0])) == {1} and any(pads):
        yield "Conv of 1x1 with pads"
    if node.op_type == "ConvTranspose" and set(options.get("dilations", [1])) != {1}:
        yield "ConvTranspose with dilation"
    if node.op_type == "Gemm" and not options.get("transB"):
        yield "Gemm with a matrix that is not transposed"
    second, third = (constants.get(name) for name in [*node.input, "", "", ""][1:3])
    if node.op_type == "PRelu" and second is not None and max(second.dims[1:], default=1) > 1:
        yield "PRelu with a slope for each position"
    if node.op_type == "QuantizeLinear" and third is not None and numpy_helper.to_array(third).any():
        yield "QuantizeLinear with a zero point"


def _one_channel(name: str, makers: dict[str, onnx.NodeProto], constants: dict[str, onnx.TensorProto]) -> bool:
    """Whether a convolution with one filter made a tensor, alone or with operators of one input after it."""
    node = makers.get(name)
    while node is not None and len(node.input) == 1:
        node = makers.get(node.input[0])
    kernel = constants.get(node.input[1]) if node is not None and node.op_type == "Conv" else None
    return kernel is not None and kernel.dims[0] == 1
