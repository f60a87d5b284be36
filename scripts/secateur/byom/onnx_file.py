"""Read an ONNX file from an untrusted source. It is checked first; no code runs, and no other file is read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from secateur.errors import ArtifactError, ModelError, UntrustedModelError
from secateur.storage.regular_files import read_regular

STANDARD_DOMAINS = ("", "ai.onnx")
OPSETS = range(11, 21)
MAX_FILE_BYTES = (2 << 30) - 1  # protobuf's own limit
MAX_NODES = 20_000
MAX_SIDE = 1 << 20
MAX_ELEMENTS = 2_000_000_000
MAX_INPUT = 1 << 26  # 4096 x 4096 in colour are 50 million


def read_onnx(path: Path | str) -> onnx.ModelProto:
    """Read and check a file. What is refused, and why: docs/decisions/untrusted-models.md.

    Raises:
        ArtifactError: it cannot be read.
        UntrustedModelError: the file is not ONNX, refers to data outside the file, has operators of other domains or
            nested graphs, declares sizes that it does not hold or that exceed the limits, or is not a valid graph.
        ModelError: an operator set other than 11 to 20.
    """
    try:
        size = Path(path).stat().st_size
        if size > MAX_FILE_BYTES:
            raise _refused(path, f"is larger than {MAX_FILE_BYTES} bytes")
        content = read_regular(path)
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}", "check the path") from error
    return checked_onnx(content, path)


def checked_onnx(content: bytes, path: Path | str) -> onnx.ModelProto:
    """Check the content of a file, as `read_onnx` does; `path` names it in errors."""
    try:
        proto = onnx.load_model_from_string(content)
    except (DecodeError, ValueError) as error:
        raise _refused(path, "is not an ONNX file") from error
    _check(proto, path)
    _check_opset(proto, path)
    try:
        onnx.checker.check_model(proto)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _refused(path, f"is not a valid ONNX graph: {reason}") from error
    return proto


def _refused(path: Path | str, why: str) -> UntrustedModelError:
    return UntrustedModelError(f"{path}: {why}", "do not trust this file; export the model again")


def _check(proto: onnx.ModelProto, path: Path | str) -> None:
    graph = proto.graph
    if proto.functions or proto.training_info or graph.sparse_initializer:
        raise _refused(path, "holds functions, training steps or sparse tensors")
    if not graph.node or len(graph.node) > MAX_NODES:
        raise _refused(path, f"has {len(graph.node)} nodes; 1 to {MAX_NODES} are allowed")
    for node in graph.node:
        if node.domain not in STANDARD_DOMAINS:
            raise _refused(path, f"node '{node.name}' belongs to the domain '{node.domain}', not to ONNX")
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise _refused(path, f"node '{node.name}' ({node.op_type}) contains another graph")
    elements = 0
    for tensor in _tensors(graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise _refused(path, f"tensor '{tensor.name}' is stored in another file")
        elements += _checked_size(tensor, path)
    if elements > MAX_ELEMENTS:
        raise _refused(path, f"has more than {MAX_ELEMENTS} weights")


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _checked_size(tensor: onnx.TensorProto, path: Path | str) -> int:
    if any(not 0 <= side <= MAX_SIDE for side in tensor.dims):
        raise _refused(path, f"tensor '{tensor.name}' has a dimension above {MAX_SIDE}")
    try:
        return int(numpy_helper.to_array(tensor).size)
    except (ValueError, TypeError, KeyError) as error:
        raise _refused(path, f"tensor '{tensor.name}' holds another number of values than it declares") from error


def _check_opset(proto: onnx.ModelProto, path: Path | str) -> None:
    version = next((entry.version for entry in proto.opset_import if entry.domain in STANDARD_DOMAINS), 0)
    if version not in OPSETS:
        raise ModelError(
            f"{path}: it uses operator set {version}; only {OPSETS.start} to {OPSETS.stop - 1} can be read",
            "export the model with opset 17",
        )


def cut_at(proto: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The part of a graph up to a node, which becomes the output.

    Args:
        proto: the model; it is not changed.
        name: of a node, or of one of its outputs.

    Raises:
        ModelError: no such node; the message names similar ones.
    """
    for node in proto.graph.node:
        if name == node.name or name in node.output:
            cut = onnx.ModelProto()
            cut.CopyFrom(proto)
            output = name if name in node.output else node.output[0]
            del cut.graph.output[:]
            cut.graph.output.append(onnx.ValueInfoProto(name=output))
            cut.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
            return cut
    names = [node.name or node.output[0] for node in proto.graph.node]
    raise ModelError(f"--cut {name}: the graph has no such node", f"its last nodes are {', '.join(names[-6:])}")


def for_one_image(proto: onnx.ModelProto, path: Path | str) -> onnx.ModelProto:
    """A copy that takes one image at a time, whatever batch size the file declares.

    Raises:
        ModelError: the model does not have exactly one float32 image input of fixed size.
    """
    single = onnx.ModelProto()
    single.CopyFrom(proto)
    _fix_batch(single, path)
    return single


def _fix_batch(proto: onnx.ModelProto, path: Path | str) -> None:
    constants = {tensor.name for tensor in proto.graph.initializer}
    inputs = [given for given in proto.graph.input if given.name not in constants]
    sides = [side.dim_value for side in inputs[0].type.tensor_type.shape.dim] if inputs else []
    if len(inputs) != 1 or len(sides) != 4 or not all(sides[1:]):
        raise ModelError(
            f"{path}: the input must be one batch of images of fixed size, not {len(inputs)} inputs of {sides}",
            "export it with a fixed height and width",
        )
    if inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise ModelError(f"{path}: the input is not float32", "export it without its own preprocessing")
    if min(sides[1:]) < 1 or math.prod(sides[1:]) > MAX_INPUT:
        raise ModelError(
            f"{path}: its input of {sides[1:]} numbers is no image of at most {MAX_INPUT:,}", "export it for images"
        )
    first = inputs[0].type.tensor_type.shape.dim[0]
    first.ClearField("dim_param")
    first.dim_value = 1
    for made in proto.graph.output:
        made.type.tensor_type.ClearField("shape")
    del proto.graph.value_info[:]
