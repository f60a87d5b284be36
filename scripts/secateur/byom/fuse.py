"""Recognise functions that exporters write as many small operators, by what they compute.

GELU, hard swish and layer normalisation are written in many ways. A chain of elementwise nodes between two tensors
is evaluated on numbers. If it computes a function that has a name, one node of that name replaces it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[np.float64]
MAX_REGION = 20
GRID = np.concatenate([np.linspace(-9, 9, 181), np.linspace(-0.3, 0.3, 31)])
TOLERANCE = 1e-5
LARGEST_EPSILON = 1e-2

_erf = np.vectorize(math.erf, otypes=[float])


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


def _hard_sigmoid(x: Array, alpha: float = 0.2, beta: float = 0.5) -> Array:
    return np.clip(alpha * x + beta, 0, 1)


# Operators that exporters use to build functions.
EVALUATE: dict[str, Callable[..., Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
    "Sqrt": np.sqrt,
    "Erf": _erf,
    "Sigmoid": _sigmoid,
    "HardSigmoid": _hard_sigmoid,
    "Clip": lambda x, low=-np.inf, high=np.inf: np.clip(x, low, high),
    "Relu": lambda x: np.maximum(x, 0),
    "Softplus": _softplus,
    "Tanh": np.tanh,
    "Neg": np.negative,
    "Reciprocal": np.reciprocal,
    "Exp": np.exp,
    "Min": np.minimum,
    "Max": np.maximum,
}
# Named functions of one number; the names are operators of ONNX, or ones that `operators` adds.
KNOWN: dict[str, Callable[[Array], Array]] = {
    "Gelu": lambda x: x * 0.5 * (1 + _erf(x * math.sqrt(0.5))),
    "HardSwish": lambda x: x * _hard_sigmoid(x, 1 / 6),
    "Silu": lambda x: x * _sigmoid(x),
    "Mish": lambda x: x * np.tanh(_softplus(x)),
    "KerasHardSigmoid": lambda x: _hard_sigmoid(x, 1 / 6),
}


def fused(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The graph's nodes in order, with recognised chains replaced. New constants are added to `proto`."""
    return _Fuser(proto).run()


class _Fuser:
    def __init__(self, proto: onnx.ModelProto) -> None:
        self.graph = proto.graph
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
        self.nodes = list(proto.graph.node)
        self.maker = {output: index for index, node in enumerate(self.nodes) for output in node.output}
        self.readers: dict[str, set[int]] = {}
        for index, node in enumerate(self.nodes):
            for name in node.input:
                self.readers.setdefault(name, set()).add(index)
        self.outputs = {made.name for made in proto.graph.output}
        self.ranks = {
            info.name: [side.dim_value for side in info.type.tensor_type.shape.dim] for info in proto.graph.value_info
        }
        self.gone: set[int] = set()

    def run(self) -> list[onnx.NodeProto]:
        for last in reversed(range(len(self.nodes))):
            if last not in self.gone and self._is_small(self.nodes[last]):
                self._try(last)
        for index, node in enumerate(self.nodes):
            if node.op_type == "Add" and index not in self.gone:
                self._take_bias(index)
        return [node for index, node in enumerate(self.nodes) if index not in self.gone]

    def _take_bias(self, index: int) -> None:
        """A vector added to a product with a matrix becomes the product's third input."""
        node = self.nodes[index]
        for product, vector in (tuple(node.input), tuple(node.input)[::-1]):
            at = self.maker.get(product)
            if at is None or self.nodes[at].op_type != "MatMul" or self.readers[product] != {index}:
                continue
            if vector in self.constants and self.constants[vector].ndim == 1 and product not in self.outputs:
                before = self.nodes[at]
                self.nodes[index] = helper.make_node(
                    "MatMul", [*before.input, vector], list(node.output), name=before.name or node.name
                )
                self.gone.add(at)
                return

    def _is_small(self, node: onnx.NodeProto) -> bool:
        return node.op_type in EVALUATE or self._mean_axis(node) is not None

    def _try(self, last: int) -> None:
        """Grow a region backwards from its last node; try to recognise it whenever it depends on one tensor."""
        region = {last}
        while len(region) <= MAX_REGION:
            inputs = {name for index in region for name in self._tensors_in(index)} - {
                output for index in region for output in self.nodes[index].output
            }
            if len(inputs) == 1 and len(region) > 1 and self._is_closed(region, last):
                region_input = inputs.pop()
                replacement = self._recognised(sorted(region), region_input)
                if replacement is not None:
                    self.gone |= region - {last}
                    self.nodes[last] = replacement
                    return
                inputs = {region_input}
            grown = [self.maker[name] for name in inputs if name in self.maker]
            grown = [index for index in grown if self._is_small(self.nodes[index]) and index not in self.gone]
            if not grown:
                return
            region.add(max(grown))

    def _tensors_in(self, index: int) -> list[str]:
        return [name for name in self.nodes[index].input if name and name not in self.constants]

    def _is_closed(self, region: set[int], last: int) -> bool:
        """Whether no tensor inside the region is read outside it."""
        inner = [output for index in region - {last} for output in self.nodes[index].output]
        return all(self.readers.get(name, set()) <= region and name not in self.outputs for name in inner)

    def _recognised(self, region: list[int], region_input: str) -> onnx.NodeProto | None:
        last = self.nodes[region[-1]]
        axes = {self._mean_axis(self.nodes[index]) for index in region} - {None}
        name = last.name or last.output[0]
        if len(axes) == 1:
            return self._layer_norm(region, region_input, int(axes.pop() or 0), name)
        if axes or any(
            self.constants[given].size > 1
            for index in region
            for given in self.nodes[index].input
            if given in self.constants
        ):
            return None
        values = self._evaluated(region, region_input, GRID)
        for op, function in KNOWN.items():
            if values is not None and np.allclose(values, function(GRID), atol=TOLERANCE, rtol=TOLERANCE):
                return helper.make_node(op, [region_input], list(last.output), name=name)
        return None

    def _mean_axis(self, node: onnx.NodeProto) -> int | None:
        """The one axis of a ReduceMean with keepdims, from its attribute or, since opset 18, from its input."""
        if node.op_type != "ReduceMean":
            return None
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        axes = attributes.get("axes")
        if axes is None and len(node.input) > 1 and node.input[1] in self.constants:
            axes = self.constants[node.input[1]].tolist()
        if not attributes.get("keepdims", 1) or axes is None or len(axes) != 1:
            return None
        return int(axes[0])

    def _evaluated(self, region: list[int], region_input: str, given: Array) -> Array | None:
        values: dict[str, Any] = {region_input: given}
        with np.errstate(all="ignore"):
            for index in region:
                node = self.nodes[index]
                axis = self._mean_axis(node)
                if axis is not None:
                    values[node.output[0]] = values[node.input[0]].mean(axis=axis, keepdims=True)
                    continue
                operands = [
                    values[name] if name in values else self.constants[name].astype(np.float64)
                    for name in node.input
                    if name
                ]
                options = {part.name: helper.get_attribute_value(part) for part in node.attribute}
                try:
                    values[node.output[0]] = EVALUATE[node.op_type](*operands, **options)
                except (TypeError, ValueError):
                    return None
        result = values[self.nodes[region[-1]].output[0]]
        return np.asarray(result) if np.shape(result) == given.shape else None

    def _layer_norm(self, region: list[int], region_input: str, axis: int, name: str) -> onnx.NodeProto | None:
        """Fit the scale and offset of each channel, and try the small constants of the region as epsilon."""
        sides = self.ranks.get(region_input)
        if not sides or not sides[axis]:
            return None
        shape = [4] * len(sides)
        shape[axis] = sides[axis]
        given = np.random.default_rng(0).normal(1, 0.05, shape)
        values = self._evaluated(region, region_input, given)
        small = {
            float(self.constants[part].reshape(-1)[0])
            for index in region
            for part in self.nodes[index].input
            if part in self.constants and self.constants[part].size == 1
        }
        for epsilon in sorted(number for number in small if 0 < number <= LARGEST_EPSILON):
            fitted = None if values is None else _fit(given, values, axis, epsilon)
            if fitted is not None:
                parts = [
                    region_input,
                    self._constant(f"{name}/gamma", fitted[0]),
                    self._constant(f"{name}/beta", fitted[1]),
                ]
                output = list(self.nodes[region[-1]].output)
                axis = axis - len(sides) if axis >= 0 else axis
                return helper.make_node("LayerNormalization", parts, output, name=name, axis=axis, epsilon=epsilon)
        return None

    def _constant(self, name: str, values: Array) -> str:
        self.constants[name] = values.astype(np.float32)
        self.graph.initializer.append(numpy_helper.from_array(self.constants[name], name))
        return name


def _fit(given: Array, values: Array, axis: int, epsilon: float) -> tuple[Array, Array] | None:
    """Scale and offset per channel with which `values` is the layer normalisation of `given`; None if it is not."""
    mean = given.mean(axis=axis, keepdims=True)
    normalised = (given - mean) / np.sqrt(given.var(axis=axis, keepdims=True) + epsilon)
    flat = np.moveaxis(normalised, axis, -1).reshape(-1, given.shape[axis])
    target = np.moveaxis(values, axis, -1).reshape(-1, given.shape[axis])
    centre, middle = flat.mean(axis=0), target.mean(axis=0)
    scale = ((flat - centre) * (target - middle)).sum(axis=0) / np.square(flat - centre).sum(axis=0)
    offset = middle - scale * centre
    return (scale, offset) if np.allclose(flat * scale + offset, target, atol=TOLERANCE, rtol=1e-4) else None


def readers_of(nodes: list[onnx.NodeProto]) -> Counter[str]:
    """How often each tensor is read."""
    return Counter(name for node in nodes for name in node.input)
