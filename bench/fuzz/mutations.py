"""How `fuzz.py` changes its seeds: bytes, members of archives, graphs of ONNX, files of a run."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import onnx
from hypothesis import strategies as st

ODD_NUMBERS = [0, 1, -1, 2, 7, 1000, 2**31 - 1, -(2**31), 2**62]
OPERATORS_TRIED = [
    "Relu", "Softmax", "Reshape", "Transpose", "Flatten", "Pad", "Resize", "Slice", "Concat", "MatMul", "Gemm", "Clip",
    "ReduceMean", "Squeeze", "Unsqueeze", "Shape", "Gather", "Tile", "Expand", "ConvTranspose", "LRN", "Split", "Mul",
    "LSTM", "Loop", "Constant", "Where", "InstanceNormalization", "QuantizeLinear", "Identity", "Cast", "Einsum",
]  # fmt: skip


@st.composite
def mutated_sidecar(draw: Any, corpus: list[bytes]) -> bytes:
    """A file of the run with bytes mutated; its name stays."""
    name, _, content = draw(st.sampled_from(corpus)).partition(b"\0")
    return name + b"\0" + draw(mutated([content]))


@st.composite
def mutated_onnx(draw: Any, corpus: list[bytes]) -> bytes:
    """A valid file with parts of its graph changed; or its bytes, mutated."""
    if draw(st.integers(0, 3)) == 0:
        return draw(mutated(corpus))
    proto = onnx.load_from_string(draw(st.sampled_from(corpus)))
    graph = proto.graph
    for _ in range(draw(st.integers(1, 4))):
        node = draw(st.sampled_from(list(graph.node)))
        kind = draw(st.sampled_from(["operator", "input", "attribute", "dims", "type", "drop", "double", "shape"]))
        if kind == "operator":
            node.op_type = draw(st.sampled_from(OPERATORS_TRIED))
        elif kind == "input" and node.input:
            names = [name for other in graph.node for name in (*other.input, *other.output)] + [""]
            node.input[draw(st.integers(0, len(node.input) - 1))] = draw(st.sampled_from(names))
        elif kind == "attribute" and node.attribute:
            _mutate_attribute(draw, draw(st.sampled_from(list(node.attribute))))
        elif kind in ("dims", "type") and graph.initializer:
            tensor = draw(st.sampled_from(list(graph.initializer)))
            if kind == "type":
                tensor.data_type = draw(st.integers(0, 20))
            elif tensor.dims:
                tensor.dims[draw(st.integers(0, len(tensor.dims) - 1))] = draw(st.sampled_from(ODD_NUMBERS))
        elif kind == "drop" and len(graph.node) > 1:
            graph.node.remove(node)
        elif kind == "double":
            graph.node.add().CopyFrom(node)
        elif kind == "shape":
            sides = graph.input[0].type.tensor_type.shape.dim
            sides[draw(st.integers(0, len(sides) - 1))].dim_value = draw(st.sampled_from(ODD_NUMBERS))
    return bytes(proto.SerializeToString())


def _mutate_attribute(draw: Any, attribute: Any) -> None:
    if attribute.ints:
        attribute.ints[draw(st.integers(0, len(attribute.ints) - 1))] = draw(st.sampled_from(ODD_NUMBERS))
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i = draw(st.sampled_from(ODD_NUMBERS))
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = draw(st.sampled_from([0.0, -1.0, 1e30, float("nan"), float("inf")]))
    else:
        attribute.type = draw(st.integers(0, 14))


@st.composite
def mutated(draw: Any, corpus: list[bytes]) -> bytes:
    """One of the corpus after up to eight changes."""
    content = bytearray(draw(st.sampled_from(corpus)))
    for _ in range(draw(st.integers(1, 8))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        length = draw(st.sampled_from([1, 1, 2, 4, 16, 200]))
        kind = draw(st.sampled_from(["bit", "byte", "bytes", "cut", "double", "splice", "number"]))
        if kind == "bit" and content:
            content[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte" and content:
            content[place] = draw(st.integers(0, 255))
        elif kind == "bytes":
            content[place:place] = draw(st.binary(max_size=8))
        elif kind == "cut":
            del content[place : place + length]
        elif kind == "double":
            content[place:place] = content[place : place + length]
        elif kind == "splice":
            other = draw(st.sampled_from(corpus))
            start = draw(st.integers(0, max(len(other) - 1, 0)))
            content[place : place + length] = other[start : start + length]
        else:
            number = draw(
                st.sampled_from([b"-1", b"0", b"1e999", b"null", b"[]", b"{}", b"99999999999999999999", b'""'])
            )
            content[place : place + length] = number
    return bytes(content)


@st.composite
def mutated_archive(draw: Any, corpus: list[bytes]) -> bytes:
    """A `.keras` with one member mutated; or its bytes as they are, mutated."""
    if draw(st.booleans()):
        return draw(mutated(corpus))
    with zipfile.ZipFile(io.BytesIO(draw(st.sampled_from(corpus)))) as source:
        members = {name: source.read(name) for name in source.namelist()}
    chosen = draw(st.sampled_from(sorted(members)))
    members[chosen] = draw(mutated([members[chosen]]))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for name, content in members.items():
            target.writestr(name, content)
    return out.getvalue()


STRATEGIES = {"keras": mutated_archive, "onnx": mutated_onnx, "sidecar": mutated_sidecar}
