"""Convert an ONNX file to a flat Keras model that computes the same.

See docs/decisions/own-networks.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from secateur.byom.fuse import fused, readers_of
from secateur.byom.onnx_file import cut_at, for_one_image, read_onnx
from secateur.byom.onnx_runtime import answers, simplified
from secateur.byom.operators import OPERATORS
from secateur.byom.values import CHANNELS_LAST, Node, UnsupportedError, Value
from secateur.errors import ModelError, SecateurError

MAX_DIFFERENCE = 1e-4  # of an output, relative to the largest output if that is above 1
CHECKED_IMAGES = 2
CHANNELS = (1, 3)
KERAS_BEGINS = "Exception encountered when calling"
INPUT_NAME = "Input"  # as in the zoo's networks


@dataclass(frozen=True)
class Imported:
    """Attributes:
    model: plain layers, channels last; its input is float32 [batch, height, width, channels].
    difference: largest difference from ONNX Runtime's outputs, relative to the largest output if that is above 1.
    """

    model: keras.Model
    difference: float


def keras_from_onnx(path: Path | str, cut: str | None = None) -> Imported:
    """Read an ONNX file of opset 11 to 20 and compare the result with ONNX Runtime on the original.

    Args:
        path: the file; its input is one batch of images of fixed size, NCHW or NHWC.
        cut: the node or tensor that becomes the output; None keeps the whole graph.

    Raises:
        ArtifactError, UntrustedModelError: as `read_onnx`.
        ModelError: some operators cannot be converted (the message names all of them), or the outputs differ.
    """
    original = read_onnx(path)
    if cut is not None:
        original = cut_at(original, cut)
    single = for_one_image(original, path)
    proto, channels_first = simplified(single, path), _channels_first(single, path)
    images = _images(single, channels_first)
    # First where there are limits: what is too large is too large there.
    expected = answers(single, images.transpose(0, 3, 1, 2) if channels_first else images, path)
    try:
        model, axes = Converter(proto, Path(path)).run()
        difference = _difference(model, images, axes, expected)
    except (SecateurError, MemoryError):
        raise
    # NumPy, Keras and TensorFlow refuse impossible sizes and values with many kinds of errors.
    except Exception as error:
        raise ModelError(
            f"{path}: the graph cannot be computed with Keras layers: {_first_line(error)}",
            "check that onnxruntime can run the file, or cut before the failing node with --cut",
        ) from error
    if not difference <= MAX_DIFFERENCE:
        raise ModelError(
            f"{path}: the converted model differs from ONNX Runtime by {difference:.1e}",
            "use --cut NODE to find the node that differs; keep the file, since it shows a bug in secateur",
        )
    return Imported(model, difference)


class Converter:
    """Turns the nodes of one simplified graph into Keras layers.

    Attributes:
        constants: weights by tensor name.
        values: converted tensors by name; None for tensors that could not be converted.
        readers: how often each tensor is read.
    """

    def __init__(self, proto: onnx.ModelProto, path: Path) -> None:
        self.path = path
        self.nodes = fused(proto)
        self.constants: dict[str, NDArray[Any]] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer
        }
        self.readers = readers_of(self.nodes)
        self.graph = proto.graph
        self.values: dict[str, Value | None] = {}
        self.names: set[str] = {INPUT_NAME}
        self.problems: list[str] = []

    def run(self) -> tuple[keras.Model, tuple[int, ...]]:
        """The model, and the ONNX axis of each axis of its output.

        Raises:
            ModelError: some nodes cannot be converted; the message names all of them.
        """
        given = next(part for part in self.graph.input if part.name not in self.constants)
        start = self.values[given.name] = self._input(given)
        for node in self.nodes:
            self._convert(node)
        if self.problems:
            raise ModelError(
                f"{self.path}: {_counted(self.problems)} cannot be converted:\n  " + "\n  ".join(self.problems),
                "export the model without them, or cut before them with --cut",
            )
        last = self.values.get(self.graph.output[0].name)
        if self.graph.output[0].name not in self.values:
            raise ModelError(f"{self.path}: the output does not depend on the image", "export the model again")
        if len(self.graph.output) != 1 or last is None:
            raise ModelError(f"{self.path}: the graph has {len(self.graph.output)} outputs", "cut at one with --cut")
        return keras.Model(start.tensor, last.tensor, name=self._name(self.path.stem)), last.axes

    def _input(self, given: onnx.ValueInfoProto) -> Value:
        sides = _sides(given)
        if sides[0] in CHANNELS:
            return Value(keras.Input((sides[1], sides[2], sides[0]), name=INPUT_NAME), CHANNELS_LAST)
        return Value(keras.Input(tuple(sides), name=INPUT_NAME), (0, 1, 2, 3))

    def _convert(self, node: onnx.NodeProto) -> None:
        label = f"{node.op_type} '{node.name or node.output[0]}'"
        operands = [self._operand(name) for name in node.input]
        blocked = any(name and operand is None for name, operand in zip(node.input, operands, strict=True))
        operator = OPERATORS.get(node.op_type)
        result = None
        if operator is None:
            self.problems.append(label)
        elif not blocked:
            options = {part.name: helper.get_attribute_value(part) for part in node.attribute}
            try:
                result = operator(Node(self._name(node.name or node.output[0]), node, operands, options))
            except UnsupportedError as error:
                self.problems.append(f"{label}: {error}")
            except (ValueError, TypeError, IndexError, KeyError) as error:
                self.problems.append(f"{label}: {_first_line(error)}")
        self.values[node.output[0]] = result

    def _operand(self, name: str) -> Value | NDArray[Any] | None:
        return self.constants[name] if name in self.constants else self.values.get(name)

    def _name(self, name: str) -> str:
        """A layer name that Keras accepts: without slashes, and unique."""
        plain = base = re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip("_.") or "layer"
        count = 1
        while plain in self.names:
            plain = f"{base}_{count}"
            count += 1
        self.names.add(plain)
        return plain


def _counted(problems: list[str]) -> str:
    return "1 node" if len(problems) == 1 else f"{len(problems)} nodes"


def _first_line(error: Exception) -> str:
    """The first line of an error's text that says something. Keras begins with the place, and writes in bold."""
    lines = (re.sub(r"\x1b\[\d*m", "", line).strip() for line in str(error).splitlines())
    return next((line for line in lines if line and not line.startswith(KERAS_BEGINS)), type(error).__name__)


def _given(proto: onnx.ModelProto) -> onnx.ValueInfoProto:
    constants = {tensor.name for tensor in proto.graph.initializer}
    return next(part for part in proto.graph.input if part.name not in constants)


def _sides(given: onnx.ValueInfoProto) -> list[int]:
    """The sides of an image, without the batch."""
    return [side.dim_value for side in given.type.tensor_type.shape.dim][1:]


def _channels_first(single: onnx.ModelProto, path: Path | str) -> bool:
    """Whether the file's images are NCHW. Raises ModelError if it takes no images."""
    sides = _sides(_given(single))
    if sides[0] not in CHANNELS and sides[2] not in CHANNELS:
        raise ModelError(f"{path}: images of {sides} have neither 1 nor 3 channels", "export it for images")
    return sides[0] in CHANNELS


def _images(single: onnx.ModelProto, channels_first: bool) -> NDArray[np.float32]:
    """Images of noise, float32 [images, height, width, channels]."""
    sides = _sides(_given(single))
    shape = (*sides[1:], sides[0]) if channels_first else tuple(sides)
    return np.random.default_rng(0).normal(size=(CHECKED_IMAGES, *shape)).astype(np.float32)


def _difference(
    model: keras.Model, images: NDArray[np.float32], axes: tuple[int, ...], expected: NDArray[np.float32]
) -> float:
    """The largest difference between ONNX Runtime on the original, image by image, and Keras on the batch."""
    found = np.asarray(model(images, training=False)).transpose([axes.index(axis) for axis in range(len(axes))])
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))
