"""Find the convolutions and dense layers that ONNX Runtime really computes in integers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import onnx
import onnxruntime

from secateur.runtime.threads import limited

# Operators of ONNX Runtime -> whether they compute in integers.
KINDS = {"QLinearConv": True, "QGemm": True, "Conv": False, "FusedConv": False, "Gemm": False, "FusedGemm": False}


@dataclass(frozen=True)
class IntegerCheck:
    """The layers with weights by the way they are computed.

    Attributes:
        integer: names of the layers computed in integers.
        floating: names of the layers computed in float.
    """

    integer: tuple[str, ...]
    floating: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The result as plain data."""
        layers = len(self.integer) + len(self.floating)
        return {"in_integers": len(self.integer), "layers_with_weights": layers, "in_float": list(self.floating)}


def integer_check(content: bytes, threads: int | None = None) -> IntegerCheck:
    """Read the graph that ONNX Runtime makes from a quantised network on this CPU.

    Args:
        content: the serialised network.
        threads: of ONNX Runtime; None: one for each core.
    """
    graph = _optimised(content, threads).graph
    found = [(node.name, KINDS[node.op_type]) for node in graph.node if node.op_type in KINDS]
    return IntegerCheck(
        tuple(_layer(name) for name, integer in found if integer),
        tuple(_layer(name) for name, integer in found if not integer),
    )


def _layer(node: str) -> str:
    """The original name of a node; ONNX Runtime appends words to the names of nodes that it replaces."""
    return node.split(":", maxsplit=1)[0]


def _optimised(content: bytes, threads: int | None) -> onnx.ModelProto:
    """A path in memory. ONNX Runtime writes its graph to a path only, and an encrypted model must not be on a disk."""
    options = limited(onnxruntime.SessionOptions(), threads)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    with open(os.memfd_create("optimised"), "rb") as file:
        options.optimized_model_filepath = f"/proc/self/fd/{file.fileno()}"
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return onnx.load_model_from_string(file.read())
