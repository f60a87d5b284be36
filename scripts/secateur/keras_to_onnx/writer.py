"""Write a flat Keras model as ONNX without TensorFlow: one node per layer, batch normalisation folded.

Four-dimensional tensors inside the graph are NCHW, whatever the layout of the input. Keras computes in NHWC.

See docs/decisions/onnx-writer.md.
"""

from __future__ import annotations

from collections import Counter

import keras
import onnx
from keras import layers
from onnx import TensorProto, helper, numpy_helper

from secateur import __version__
from secateur.errors import ModelError
from secateur.keras_to_onnx.check import checked
from secateur.keras_to_onnx.common import NHWC_TO_NCHW, activation_name, unknown_layer
from secateur.keras_to_onnx.layers import EMITTERS
from secateur.keras_to_onnx.nodes import Nodes
from secateur.keras_to_onnx.normalisations import is_over_channels
from secateur.keras_to_onnx.tensor_names import INPUT_NAME, OUTPUT_NAME
from secateur.models.graph import Call, TensorId, calls_of, outputs_of
from secateur.vault.age import ONNX_END

# The newest opset that TensorRT 8, DeepStream 6 and all recent versions of ONNX Runtime read; TAO writes it too.
DEFAULT_OPSET = 13
IR_VERSION = 8

CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D)
FOLDABLE = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Dense)


def to_onnx(
    model: keras.Model, layout: str = "nchw", opset: int = DEFAULT_OPSET, metadata: dict[str, str] | None = None
) -> onnx.ModelProto:
    """Convert a model with one input and one output.

    Args:
        model: built, functional, channels last.
        layout: of the input, `nchw` or `nhwc`. The input is float32, preprocessed, named `input_1`, of any batch size.
        opset: ONNX operator set, 13 to 18.
        metadata: text entries stored in the file.

    Returns:
        The checked ONNX model. Its output `predictions` is float32 [batch, classes].

    Raises:
        ModelError: the writer does not know a layer; the message names it.
    """
    return Writer(model, layout, opset).write(metadata or {})


class Writer(Nodes):
    """Collects nodes and constants while the calls of one model are written."""

    def __init__(self, model: keras.Model, layout: str, opset: int) -> None:
        super().__init__(opset)
        self.model, self.layout = model, layout
        self.calls = calls_of(model)
        self.consumers = Counter(tensor for call in self.calls for tensor in call.inputs)
        self.consumers.update(outputs_of(model))
        self.names: dict[TensorId, str] = {}
        self._plan_folding()
        self._plan_padding()

    def write(self, metadata: dict[str, str]) -> onnx.ModelProto:
        """The checked ONNX model. Raises ModelError."""
        if len(self.model.inputs) != 1 or len(self.model.outputs) != 1:
            raise ModelError(
                f"the model '{self.model.name}' has several inputs or outputs",
                "export a model with one input and one output",
            )
        for call in self.calls:
            self._emit(call)
        last = self.names[outputs_of(self.model)[0]]
        self.nodes.append(helper.make_node("Identity", [last], [OUTPUT_NAME], name=OUTPUT_NAME))
        self._rename_output(last)
        graph = helper.make_graph(self.nodes, self.model.name, [self._input_info()], [self._output_info()])
        proto = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", self.opset)],
            producer_name="secateur",
            producer_version=__version__,
            ir_version=IR_VERSION,
        )
        # Tensors are added one by one: otherwise a network as large as VGG would be in memory three times.
        for name in list(self.constants):
            proto.graph.initializer.append(numpy_helper.from_array(self.constants.pop(name), name))
        # This entry ends the file: the vault uses it to tell a cut file from a changed one.
        helper.set_model_props(proto, {**metadata, "complete": ONNX_END.decode()})
        return checked(proto)

    def _rename_output(self, last: str) -> None:
        """Let the last node write the output directly, without a copy node."""
        writer = next((node for node in self.nodes[:-1] if last in node.output), None)
        readers = [node for node in self.nodes[:-1] if last in node.input]
        if writer is not None and not readers:
            self.nodes.pop()
            writer.output[list(writer.output).index(last)] = OUTPUT_NAME

    def _input_info(self) -> onnx.ValueInfoProto:
        _, height, width, channels = self.model.input_shape
        sides = [channels, height, width] if self.layout == "nchw" else [height, width, channels]
        return helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["batch", *sides])

    def _output_info(self) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["batch", *self.model.output_shape[1:]])

    def _plan_folding(self) -> None:
        """Find batch normalisations that can be folded into the convolution or dense layer before them."""
        makers = {tensor: call for call in self.calls for tensor in call.outputs}
        calls_per_layer = Counter(call.layer.name for call in self.calls)
        for call in self.calls:
            if not isinstance(call.layer, layers.BatchNormalization) or not is_over_channels(call):
                continue
            before = makers[call.inputs[0]]
            alone = self.consumers[call.inputs[0]] == 1 and calls_per_layer[before.layer.name] == 1
            if alone and type(before.layer) in FOLDABLE and activation_name(before.layer) == "linear":
                self.folded[call.inputs[0]] = call.layer

    def _plan_padding(self) -> None:
        """Find zero paddings that only a convolution reads. As a separate node each would stay in float in int8."""
        readers = {tensor: call for call in self.calls for tensor in call.inputs}
        for call in self.calls:
            reader = readers.get(call.outputs[0])
            if (
                not isinstance(call.layer, layers.ZeroPadding2D)
                or self.consumers[call.outputs[0]] != 1
                or reader is None
            ):
                continue
            if isinstance(reader.layer, CONVOLUTIONS) and reader.layer.padding == "valid":
                (top, bottom), (left, right) = call.layer.padding
                self.padding[call.outputs[0]] = [top, left, bottom, right]

    def _emit(self, call: Call) -> None:
        if isinstance(call.layer, layers.InputLayer):
            self.names[call.outputs[0]] = self._input()
            return
        emitter = EMITTERS.get(type(call.layer))
        if emitter is None:
            raise unknown_layer(call.layer)
        if getattr(call.layer, "data_format", "channels_last") == "channels_first":
            raise unknown_layer(call.layer, " with channels first")
        self.names[call.outputs[0]] = emitter(self, call, [self.names[tensor] for tensor in call.inputs])

    def _input(self) -> str:
        if self.layout == "nchw":
            return INPUT_NAME
        return self.node("Transpose", [INPUT_NAME], "input_nchw", perm=NHWC_TO_NCHW)
