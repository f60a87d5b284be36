"""The nodes and constants of an ONNX graph while it is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from secateur.models.graph import TensorId


class Nodes:
    """The nodes and constants of one graph.

    Args:
        opset: ONNX operator set.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.made: set[str] = set()
        self.constants: dict[str, NDArray[Any]] = {}
        # Output of a layer -> the batch normalisation after it, which is folded into that layer.
        self.folded: dict[TensorId, Any] = {}
        # Output of a padding that the next convolution takes over -> ONNX pads.
        self.padding: dict[TensorId, list[int]] = {}

    def node(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node with one output. Returns the name of the output."""
        output = f"{name}:0" if f"{name}:0" not in self.made else f"{name}:{len(self.nodes)}"
        self.made.add(output)
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add an initializer. All calls of a shared layer use the same one."""
        if name not in self.constants:
            # A transposed view stays one: the writer copies its numbers, in order, into the file.
            self.constants[name] = np.asarray(values)
        return name
