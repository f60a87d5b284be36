"""Choose the tensors of an ONNX network to quantise, for TensorRT and for ONNX Runtime.

TensorRT fuses whole blocks itself. It needs quantisation only at the inputs of convolutions and dense layers, of
residual additions, of squeeze-and-excitation products and of averages. ONNX Runtime computes an operator in integers
only if all its inputs and outputs are quantised, so nearly all tensors are.

See docs/decisions/int8.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Literal

import onnx

Flavour = Literal["onnxruntime", "tensorrt"]
FLAVOURS: tuple[Flavour, ...] = ("onnxruntime", "tensorrt")
WEIGHTED = ("Conv", "Gemm")
AVERAGES = ("GlobalAveragePool", "AveragePool")
# Operators that ONNX Runtime computes in integers on a CPU.
INTEGER_OPS = (*WEIGHTED, "Add", "Mul", "Sigmoid", "LeakyRelu", "Concat", *AVERAGES)
# Operators that only move values: the output has the scale of the input.
MOVING_OPS = ("MaxPool", "Flatten", "Reshape", "Transpose", "Identity")
# Quantised values are clipped to their range, so these operators are part of the operator before them.
ABSORBED_OPS = ("Relu", "Clip")
BOUNDED_OPS = {"Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0)}


class Network:
    """The producer and the readers of each tensor of a graph.

    Args:
        proto: float32, as `keras_to_onnx.writer` writes it.
    """

    def __init__(self, proto: onnx.ModelProto) -> None:
        graph = proto.graph
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.nodes = list(graph.node)
        self.maker = {output: node for node in self.nodes for output in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self.readers[name].append(node)
        self.outputs = {output.name for output in graph.output}
        # In the order of the graph; inputs come first.
        self.places = [*(given.name for given in graph.input), *self.maker]

    def activations(self, node: onnx.NodeProto) -> list[str]:
        """The inputs of a node that are not constants; for a convolution or dense layer, the first input."""
        names = node.input[:1] if node.op_type in WEIGHTED else node.input
        return [name for name in names if name not in self.constants]

    def origin(self, name: str) -> str:
        """The tensor that holds the same values as `name` before operators that only move values."""
        node = self.maker.get(name)
        return self.origin(node.input[0]) if node is not None and node.op_type in MOVING_OPS else name

    def weighted(self) -> list[onnx.NodeProto]:
        """The convolutions and dense layers, in order."""
        return [node for node in self.nodes if node.op_type in WEIGHTED]

    def is_gate_product(self, node: onnx.NodeProto) -> bool:
        """Whether a product scales channels by a gate that is computed from other values (so it is not a swish)."""
        if node.op_type != "Mul" or len(self.activations(node)) != 2:
            return False
        gates = [self.maker.get(name) for name in node.input]
        return any(
            gate is not None and gate.op_type in BOUNDED_OPS and gate.input[0] not in node.input for gate in gates
        )


def quantised_nodes(
    network: Network, flavour: Flavour, wanted: Callable[[onnx.NodeProto], bool] = lambda node: True
) -> list[onnx.NodeProto]:
    """The nodes that compute in integers.

    Args:
        network: the graph.
        flavour: the program that will run it.
        wanted: false for nodes that stay in float.
    """

    def suits(node: onnx.NodeProto) -> bool:
        if node.op_type in WEIGHTED:
            return node.input[1] in network.constants
        if len(network.activations(node)) != len(node.input):
            return False  # a product or sum with constants is a normalisation that could not be folded
        if len(set(node.input)) != len(node.input):
            return False  # a square is the variance of a layer normalisation, whose range is too wide
        if flavour == "onnxruntime":
            return node.op_type in INTEGER_OPS
        return node.op_type in ("Add", *AVERAGES) or network.is_gate_product(node)

    return [node for node in network.nodes if suits(node) and wanted(node)]


def tensors_of(network: Network, node: onnx.NodeProto, flavour: Flavour) -> set[str]:
    """The activations to quantise so that one node computes in integers."""
    found = set(network.activations(node))
    if flavour == "onnxruntime":
        made = _after_absorbed(network, node.output[0])
        if not _only_answers(network, made):
            found.add(made)
    return found | {network.origin(name) for name in found}


def quantised_tensors(network: Network, nodes: Iterable[onnx.NodeProto], flavour: Flavour) -> list[str]:
    """The activations to quantise so that `nodes` compute in integers, in the order of the graph."""
    found = {name for node in nodes for name in tensors_of(network, node, flavour)}
    return [name for name in network.places if name in found]


def _after_absorbed(network: Network, name: str) -> str:
    """The output of a ReLU if it is the only reader of the tensor; else the tensor itself."""
    readers = network.readers[name]
    absorbed = len(readers) == 1 and readers[0].op_type in ABSORBED_OPS and name not in network.outputs
    return str(readers[0].output[0]) if absorbed else name


def _only_answers(network: Network, name: str) -> bool:
    """Whether a tensor is read by a softmax only or by no node. Such last values keep their precision."""
    return name in network.outputs or all(reader.op_type == "Softmax" for reader in network.readers[name])
