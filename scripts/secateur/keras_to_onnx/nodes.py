"""What has been written of an ONNX graph so far: nodes and constants."""

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
        # Output of a layer -> the batch normalisation behind it, which goes into that layer.
        self.folded: dict[TensorId, Any] = {}
        # Output of a padding that the convolution behind it does itself -> ONNX pads.
        self.padding: dict[TensorId, list[int]] = {}

    def node(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node with one output; returns the output's name."""
        output = f"{name}:0" if f"{name}:0" not in self.made else f"{name}:{len(self.nodes)}"
        self.made.add(output)
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add an initializer; calls of a shared layer share it."""
        if name not in self.constants:
            # `np.ascontiguousarray` would make a vector of a scalar.
            self.constants[name] = np.asarray(values, order="C")
        return name
