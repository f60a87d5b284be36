"""Find the layers that lose most accuracy in int8, and keep as few of them in float as the allowed loss needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from secateur.errors import ModelError
from secateur.quantization.exact import exact_options
from secateur.quantization.placement import WEIGHTED, Network
from secateur.quantization.qdq import quantised
from secateur.quantization.ranges import Ranges

Array = NDArray[np.float32]
# Images that measure the harm of one layer; the accuracy is measured on all images.
SENSITIVITY_IMAGES = 128


@dataclass(frozen=True)
class Exclusions:
    """Layers that stay in float.

    Attributes:
        names: of the layers, the most harmful first.
        harm: layer -> mean change of a probability if only this layer is int8.
        fp32, all_int8, accuracy: top-1 with no layer in int8, with all layers, and with all except `names`.
    """

    names: tuple[str, ...]
    harm: dict[str, float]
    fp32: float
    all_int8: float
    accuracy: float

    def as_json(self) -> dict[str, Any]:
        """The result as plain data."""
        return {
            "in_float": list(self.names),
            "harm": self.harm,
            "validation_top_1": {"fp32": self.fp32, "all_int8": self.all_int8, "chosen": self.accuracy},
        }


def unit_of_nodes(network: Network) -> dict[str, str]:
    """Node -> the layer with weights that it belongs to: the node itself, or the last such layer before it.

    Nodes before the first such layer belong to none.
    """
    units: dict[str, str] = {}
    place = {node.name: number for number, node in enumerate(network.nodes)}
    for node in network.nodes:
        if node.op_type in WEIGHTED:
            units[node.name] = node.name
            continue
        makers = [network.maker[name].name for name in node.input if name in network.maker]
        before = [units[name] for name in makers if name in units]
        if before:
            units[node.name] = max(before, key=place.__getitem__)
    return units


def choose_float_layers(
    proto: onnx.ModelProto,
    ranges: Ranges,
    batches: Sequence[Array],
    labels: NDArray[np.int64],
    max_drop: float,
    threads: int | None = None,
) -> Exclusions:
    """Keep as few of the most harmful layers in float as needed, so that top-1 falls by at most `max_drop`.

    Args:
        proto: float32.
        ranges: of its activations.
        batches: inputs of the network.
        labels: class indices of all images.
        max_drop: of top-1 on these images.
        threads: of ONNX Runtime; None: one for each core.

    Raises:
        ModelError: the drop is too large even with all layers in float.
    """
    network = Network(proto)
    units = unit_of_nodes(network)
    layers = [node.name for node in network.weighted()]

    def accuracy(without: Sequence[str]) -> float:
        wanted = _but(units, set(without))
        answers = _answers(quantised(proto, ranges, "onnxruntime", wanted), batches, threads)
        return float((answers.argmax(axis=1) == labels).mean())

    fp32 = float((_answers(proto, batches, threads).argmax(axis=1) == labels).mean())
    whole = accuracy([])
    if fp32 - whole <= max_drop:
        return Exclusions((), {}, fp32, whole, whole)
    harm = _harm(proto, ranges, _first(batches, SENSITIVITY_IMAGES), units, layers, threads)
    order = sorted(layers, key=lambda name: -harm[name])
    found = _fewest(len(order), lambda count: fp32 - accuracy(order[:count]) <= max_drop)
    if found is None:
        raise ModelError(
            f"int8 loses more than export.int8_max_drop {max_drop:g}, even with all layers with weights in float",
            "raise export.int8_max_drop, or set export.data_type: fp16",
        )
    return Exclusions(tuple(order[:found]), harm, fp32, whole, accuracy(order[:found]))


def _fewest(most: int, enough: Callable[[int], bool]) -> int | None:
    """The smallest count that is enough, found by doubling and halving; accuracy is nearly monotonic."""
    high = 1
    while not enough(min(high, most)):
        if high >= most:
            return None
        high *= 2
    high, low = min(high, most), high // 2
    while high - low > 1:
        middle = (high + low) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _harm(
    proto: onnx.ModelProto,
    ranges: Ranges,
    batches: Sequence[Array],
    units: dict[str, str],
    layers: Sequence[str],
    threads: int | None,
) -> dict[str, float]:
    exact = _answers(proto, batches, threads)

    def change(name: str) -> float:
        one = quantised(proto, ranges, "onnxruntime", _only(units, name))
        return float(np.abs(_answers(one, batches, threads) - exact).mean())

    return {name: change(name) for name in layers}


def _only(units: dict[str, str], name: str) -> Callable[[onnx.NodeProto], bool]:
    return lambda node: units.get(node.name) == name


def _but(units: dict[str, str], names: set[str]) -> Callable[[onnx.NodeProto], bool]:
    return lambda node: units.get(node.name) not in names


def _first(batches: Sequence[Array], count: int) -> list[Array]:
    kept: list[Array] = []
    for batch in batches:
        missing = count - sum(map(len, kept))
        if missing <= 0:
            break
        kept.append(batch[:missing])
    return kept


def _answers(proto: onnx.ModelProto, batches: Sequence[Array], threads: int | None) -> Array:
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), exact_options(threads), providers=["CPUExecutionProvider"]
    )
    (given,) = session.get_inputs()
    return np.concatenate([session.run(None, {given.name: batch})[0] for batch in batches])
