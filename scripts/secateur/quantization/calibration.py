"""Measure the ranges of activations on images (post-training quantisation)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from secateur.quantization.placement import (
    BOUNDED_OPS,
    FLAVOURS,
    Network,
    quantised_nodes,
    quantised_tensors,
)
from secateur.quantization.ranges import Ranges
from secateur.quantization.sensitivity import unit_of_nodes
from secateur.runtime.threads import limited

Array = NDArray[np.float32]
# Bins and levels of TensorRT's calibrator, which are also the defaults of onnxruntime.quantization.
BINS, LEVELS = 2048, 128
PERCENTILE = 99.99


def tensors_to_measure(network: Network) -> list[str]:
    """The activations whose ranges any flavour of the network needs."""
    names = {
        network.origin(name)
        for flavour in FLAVOURS
        for name in quantised_tensors(network, quantised_nodes(network, flavour), flavour)
    }
    return [name for name in network.places if name in names]


def bounded_ranges(network: Network) -> dict[str, tuple[float, float]]:
    """The known ranges of activations whose operator limits them."""
    return {name: BOUNDED_OPS[node.op_type] for name, node in network.maker.items() if node.op_type in BOUNDED_OPS}


def measured_ranges(
    proto: onnx.ModelProto, batches: Iterable[Array], method: str, threads: int | None = None
) -> Ranges:
    """Run a float network on images and find the range of each activation that may be quantised.

    Args:
        proto: float32.
        batches: inputs of the network.
        method: `minmax` takes the smallest and the largest value; `percentile` leaves out the outermost 0.01 %;
            `entropy` takes the range with the least KL divergence between the distributions of floats and of eight-bit
            values (Migacz, 8-bit inference with TensorRT, 2017).
        threads: of ONNX Runtime; None: one for each core.
    """
    network = Network(proto)
    names = tensors_to_measure(network)
    collector = _MinMax() if method == "minmax" else _Histograms(method)
    session = _session_with_outputs(proto, names, threads)
    (given,) = session.get_inputs()
    wanted = [name for name in names if name != given.name]
    for batch in batches:
        values = dict(zip(wanted, session.run(wanted, {given.name: batch}), strict=True))
        if given.name in names:
            values[given.name] = batch
        collector.collect(values)
    found = {name: _with_zero(*pair) for name, pair in collector.ranges().items()}
    return Ranges({**found, **bounded_ranges(network)}, symmetric=False)


def _with_zero(least: float, largest: float) -> tuple[float, float]:
    """The range extended to include zero: padding is zero, so an integer must represent it exactly."""
    return min(float(least), 0.0), max(float(largest), 0.0)


def _session_with_outputs(
    proto: onnx.ModelProto, names: list[str], threads: int | None
) -> onnxruntime.InferenceSession:
    graph = proto.graph
    have = {value.name for value in [*graph.input, *graph.output]}
    more = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in have]
    options = limited(onnxruntime.SessionOptions(), threads)
    # No optimisation, since it could remove a tensor that is measured.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    count = len(graph.output)
    # The graph is changed and restored: a copy would hold all weights once more.
    graph.output.extend(more)
    try:
        content = proto.SerializeToString()
    finally:
        del graph.output[count:]
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class _MinMax:
    def __init__(self) -> None:
        self.found: dict[str, tuple[float, float]] = {}

    def collect(self, values: dict[str, Array]) -> None:
        for name, array in values.items():
            least, largest = self.found.get(name, (np.inf, -np.inf))
            self.found[name] = (min(least, float(array.min())), max(largest, float(array.max())))

    def ranges(self) -> dict[str, tuple[float, float]]:
        return self.found


class _Histograms:
    """Run ONNX Runtime's own collector, without its printed lines."""

    def __init__(self, method: str) -> None:
        # Imported here: the import takes half a second, and each training imports this module.
        from onnxruntime.quantization.calibrate import HistogramCollector  # noqa: PLC0415

        self.collector = HistogramCollector(
            method=method,
            symmetric=False,
            num_bins=BINS,
            num_quantized_bins=LEVELS,
            percentile=PERCENTILE,
            scenario="same",
        )

    def collect(self, values: dict[str, Array]) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self.collector.collect(values)

    def ranges(self) -> dict[str, tuple[float, float]]:
        with contextlib.redirect_stdout(io.StringIO()):
            found: dict[str, Any] = self.collector.compute_collection_result()
        return {name: (float(pair[0]), float(pair[1])) for name, pair in found.items()}


@dataclass(frozen=True)
class Calibration:
    """The content of `export/calibration.json`.

    Attributes:
        ranges: of the activations.
        in_float: names of layers that stay in float.
    """

    ranges: Ranges
    in_float: tuple[str, ...] = ()

    def wanted(self, proto: onnx.ModelProto) -> Callable[[onnx.NodeProto], bool]:
        """Whether a node computes in integers."""
        units = unit_of_nodes(Network(proto))
        return lambda node: units.get(node.name) not in self.in_float
