"""What ONNX Runtime makes of a graph of a stranger, in a process with limits: loading computes all constants."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from secateur.errors import ModelError
from secateur.runtime.child import ComputationError, computed

# Rewrites of ONNX Runtime that would hide a layer: of batch normalisation, which can be frozen; of the product of
# maps and a matrix, which becomes a reshape to one image; and of the axes of a layer normalisation.
LEFT_OUT = ["ConvBNFusion", "MatMulAddFusion", "TransposeOptimizer"]
# The length of the images, in front of images and graph.
HEAD_BYTES = 8


def simplified(single: onnx.ModelProto, path: Path | str) -> onnx.ModelProto:
    """The same function with constants folded and unused nodes removed, and the shapes of all tensors.

    ONNX Runtime's basic rewrites use standard operators only.

    Args:
        single: from `for_one_image`.
        path: for errors.

    Raises:
        ModelError: ONNX Runtime cannot load the graph.
        UntrustedModelError: that takes too much memory or time.
    """
    content = _asked("simplify", single.SerializeToString(), path)
    return onnx.load_model_from_string(content)


def answers(single: onnx.ModelProto, images: NDArray[np.float32], path: Path | str) -> NDArray[np.float32]:
    """The first output of the graph for each image.

    Args:
        single: from `for_one_image`.
        images: [images, ...] in the layout of the graph.
        path: for errors.

    Raises:
        ModelError, UntrustedModelError: as `simplified`.
    """
    stream = io.BytesIO()
    np.save(stream, images, allow_pickle=False)
    head = len(stream.getvalue()).to_bytes(HEAD_BYTES, "big")
    found = _asked("answer", head + stream.getvalue() + single.SerializeToString(), path)
    return np.asarray(np.load(io.BytesIO(found), allow_pickle=False), np.float32)


def _asked(function: str, content: bytes, path: Path | str) -> bytes:
    try:
        return computed(f"{__name__}:{function}", content, path)
    except ComputationError as error:
        raise ModelError(
            f"{path}: ONNX Runtime cannot load this graph: {error}",
            "check that onnxruntime can run the file, and export it again with opset 17",
        ) from error


def simplify(content: bytes) -> bytes:
    """In the other process: a serialised model for `simplified`."""
    # ONNX Runtime writes to a path. This file is in memory, and has no name in any folder.
    descriptor = os.memfd_create("simplified")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.optimized_model_filepath = f"/proc/self/fd/{descriptor}"
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"], disabled_optimizers=LEFT_OUT)
    with os.fdopen(descriptor, "rb") as stream:
        stream.seek(0)
        written = onnx.load_model_from_string(stream.read())
    return bytes(onnx.shape_inference.infer_shapes(written).SerializeToString())


def answer(content: bytes) -> bytes:
    """In the other process: images and a serialised model for `answers`."""
    size = int.from_bytes(content[:HEAD_BYTES], "big")
    images = np.load(io.BytesIO(content[HEAD_BYTES : HEAD_BYTES + size]), allow_pickle=False)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content[HEAD_BYTES + size :], options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    found = np.concatenate([session.run(None, {name: images[index : index + 1]})[0] for index in range(len(images))])
    stream = io.BytesIO()
    np.save(stream, found, allow_pickle=False)
    return stream.getvalue()
