"""Add QuantizeLinear and DequantizeLinear to a float network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from secateur.keras_to_onnx.check import checked
from secateur.quantization.placement import (
    WEIGHTED,
    Flavour,
    Network,
    quantised_nodes,
    quantised_tensors,
    tensors_of,
)
from secateur.quantization.ranges import Ranges, Scale, to_integers, weight_scales

# A bias is an int32 with scale (input scale * weight scale). Using half of the range leaves room for the sum.
BIAS_TOP = 1 << 30


def quantised(
    proto: onnx.ModelProto,
    ranges: Ranges,
    flavour: Flavour,
    wanted: Callable[[onnx.NodeProto], bool] = lambda node: True,
) -> onnx.ModelProto:
    """A copy of a float32 network that computes in integers where it can.

    Weights are int8 with one scale per output channel and zero point 0; activations have one scale per tensor.

    Args:
        proto: as `keras_to_onnx.writer` writes it, opset 13 or later.
        ranges: of the activations; a node with an input or output without a range stays in float.
        flavour: the program that will run it; it decides what is quantised and how.
        wanted: false for nodes that stay in float.
    """
    network = Network(proto)

    def can(node: onnx.NodeProto) -> bool:
        return wanted(node) and all(network.origin(name) in ranges.of for name in tensors_of(network, node, flavour))

    nodes = quantised_nodes(network, flavour, can)
    return _Rewriter(proto, network, ranges, flavour, nodes).written()


class _Rewriter:
    """Collects the nodes and constants of the quantised graph."""

    def __init__(
        self, proto: onnx.ModelProto, network: Network, ranges: Ranges, flavour: Flavour, chosen: list[onnx.NodeProto]
    ) -> None:
        self.proto, self.network, self.flavour = proto, network, flavour
        self.chosen = {node.name for node in chosen}
        self.scales = {
            name: ranges.scale(network.origin(name), flavour) for name in quantised_tensors(network, chosen, flavour)
        }
        self.constants = dict(network.constants)
        self.nodes: list[onnx.NodeProto] = []

    def written(self) -> onnx.ModelProto:
        for given in self.proto.graph.input:
            self.nodes.extend(self._pair(given.name))
        for node in self.network.nodes:
            rewritten = self._rewritten(node)  # after the nodes that it adds itself
            self.nodes.append(rewritten)
            for output in node.output:
                self.nodes.extend(self._pair(output))
        graph = self.proto.graph
        used = {name for node in self.nodes for name in node.input}
        made = helper.make_graph(self.nodes, graph.name, graph.input, graph.output)
        result = helper.make_model(
            made,
            opset_imports=self.proto.opset_import,
            producer_name=self.proto.producer_name,
            producer_version=self.proto.producer_version,
            ir_version=self.proto.ir_version,
        )
        result.metadata_props.extend(self.proto.metadata_props)
        result.graph.initializer.extend(tensor for name, tensor in self.constants.items() if name in used)
        return checked(result)

    def _rewritten(self, node: onnx.NodeProto) -> onnx.NodeProto:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        # ONNX Runtime fuses a node only if no other node reads the float value, so all nodes read the quantised value.
        # TensorRT fuses across float values, so only integer nodes read the quantised value.
        if self.flavour == "onnxruntime" or node.name in self.chosen:
            copy.input[:] = [_dequantised(name) if name in self.scales else name for name in node.input]
        if node.op_type in WEIGHTED and node.name in self.chosen:
            self._weights(node, copy)
        return copy

    def _pair(self, name: str) -> Iterator[onnx.NodeProto]:
        """Quantise a tensor and dequantise it again."""
        if name not in self.scales:
            return
        parameters = self._parameters(name, self.scales[name])
        between = f"{name}/quantised"
        yield helper.make_node("QuantizeLinear", [name, *parameters], [between], name=between)
        yield helper.make_node(
            "DequantizeLinear", [between, *parameters], [_dequantised(name)], name=_dequantised(name)
        )

    def _parameters(self, name: str, scale: Scale) -> list[str]:
        return [
            self._constant(f"{name}/scale", np.array(scale.scale, np.float32)),
            self._constant(f"{name}/zero_point", np.array(scale.zero_point, scale.dtype)),
        ]

    def _weights(self, node: onnx.NodeProto, copy: onnx.NodeProto) -> None:
        """Replace the float kernel by an int8 kernel, and for ONNX Runtime the bias by an int32 bias."""
        axis = _output_axis(node)
        kernel = numpy_helper.to_array(self.network.constants[node.input[1]])
        given = self.scales[node.input[0]].scale
        scales = weight_scales(kernel, axis)
        bias = None
        if len(node.input) > 2:
            bias = numpy_helper.to_array(self.network.constants[node.input[2]])
            scales = np.maximum(scales, np.abs(bias) / (given * BIAS_TOP)).astype(np.float32)
        integers = to_integers(kernel, scales, axis, np.int8)
        copy.input[1] = self._integers(f"{node.name}/kernel", integers, scales, axis)
        if bias is not None and self.flavour == "onnxruntime":
            together = (scales.astype(np.float64) * given).astype(np.float32)
            integers = to_integers(bias.astype(np.float64), together, 0, np.int32)
            copy.input[2] = self._integers(f"{node.name}/bias", integers, together, 0)

    def _integers(self, name: str, integers: NDArray[Any], scales: NDArray[np.float32], axis: int) -> str:
        """An integer constant and the node that dequantises it. Layers that share a constant each get their own."""
        inputs = [
            self._constant(f"{name}/quantised", integers),
            self._constant(f"{name}/scale", scales),
            self._constant(f"{name}/zero_point", np.zeros(len(scales), integers.dtype)),
        ]
        output = _dequantised(name)
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [output], name=output, axis=axis))
        return output

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(values, order="C"), name)
        return name


def _dequantised(name: str) -> str:
    return f"{name}/dequantised"


def _output_axis(node: onnx.NodeProto) -> int:
    """The axis of a kernel that holds the outputs: the first, but in a Gemm whose matrix is not transposed the last."""
    transposed = any(option.name == "transB" and option.i for option in node.attribute)
    return 0 if node.op_type == "Conv" or transposed else 1
