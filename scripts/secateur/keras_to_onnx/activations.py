"""Write activation functions as ONNX nodes. Four-dimensional tensors are NCHW."""

from __future__ import annotations

from typing import Any

import numpy as np

from secateur.keras_to_onnx.common import activation_name, channel_axis, channels_first, unknown_layer
from secateur.keras_to_onnx.nodes import Nodes
from secateur.models.graph import Call

RELU6_TOP = 6.0


def activated(nodes: Nodes, layer: Any, value: str) -> str:
    """Write the activation that is part of a layer."""
    kind = activation_name(layer)
    return value if kind == "linear" else emit_activation(nodes, kind, value, f"{layer.name}_{kind}", layer)


def activation(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write an Activation layer."""
    kind, rank = activation_name(call.layer), len(call.input_shapes[0])
    return emit_activation(nodes, kind, inputs[0], call.layer.name, call.layer, channel_axis(rank))


def emit_activation(nodes: Nodes, kind: str, value: str, name: str, layer: Any, axis: int = 1) -> str:
    """Write one of Keras' activation functions by its name.

    Args:
        nodes: the nodes so far.
        kind: the function's name in Keras.
        value: name of the tensor that it reads.
        name: of the new node.
        layer: for the error.
        axis: of the channels in the ONNX tensor.

    Raises:
        ModelError: the function cannot be written.
    """
    simple = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "elu": "Elu", "softplus": "Softplus"}
    if kind == "linear":
        return value
    if kind in simple:
        return nodes.node(simple[kind], [value], name)
    if kind == "softmax":
        return nodes.node("Softmax", [value], name, axis=axis)
    if kind in ("silu", "swish"):
        gate = nodes.node("Sigmoid", [value], f"{name}_gate")
        return nodes.node("Mul", [value, gate], name)
    if kind == "relu6":
        return _clip(nodes, value, name, RELU6_TOP)
    if kind == "hard_sigmoid":
        return _hard_sigmoid(nodes, value, name)
    if kind in ("hard_silu", "hard_swish"):
        return nodes.node("Mul", [value, _hard_sigmoid(nodes, value, f"{name}_gate")], name)
    if kind == "mish":
        gate = nodes.node("Tanh", [nodes.node("Softplus", [value], f"{name}_softplus")], f"{name}_tanh")
        return nodes.node("Mul", [value, gate], name)
    if kind == "gelu":
        return _gelu(nodes, value, name)
    raise unknown_layer(layer, f" '{kind}'")


def _hard_sigmoid(nodes: Nodes, value: str, name: str) -> str:
    """Write relu6(x + 3) / 6, as Keras defines it; ONNX's operator has another slope by default."""
    return nodes.node("HardSigmoid", [value], name, alpha=1 / 6, beta=0.5)


def _gelu(nodes: Nodes, value: str, name: str) -> str:
    """Write Gelu: x times the normal distribution function (Hendrycks and Gimpel, arXiv:1606.08415)."""

    def scalar(number: float) -> str:
        return nodes.constant(f"scalar_{number:.9g}", np.array(number, np.float32))

    scaled = nodes.node("Mul", [value, scalar(float(np.sqrt(0.5)))], f"{name}_scaled")
    erf = nodes.node("Erf", [scaled], f"{name}_erf")
    raised = nodes.node("Add", [erf, scalar(1.0)], f"{name}_raised")
    doubled = nodes.node("Mul", [value, raised], f"{name}_doubled")
    return nodes.node("Mul", [doubled, scalar(0.5)], name)


def _clip(nodes: Nodes, value: str, name: str, top: float) -> str:
    low = nodes.constant("zero", np.array(0, np.float32))
    return nodes.node("Clip", [value, low, nodes.constant(f"clip_{top:g}", np.array(top, np.float32))], name)


def relu(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write ReLU: from 0, optionally up to a largest value."""
    layer = call.layer
    if layer.threshold or layer.negative_slope:
        raise unknown_layer(layer, " with a threshold or slope")
    if layer.max_value is None:
        return nodes.node("Relu", inputs, layer.name)
    return _clip(nodes, inputs[0], layer.name, float(layer.max_value))


def leaky_relu(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write LeakyReLU: one slope below 0 for all channels."""
    return nodes.node("LeakyRelu", inputs, call.layer.name, alpha=float(call.layer.negative_slope))


def parametric_relu(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write PReLU: learned slopes below 0, as many as its shared axes leave."""
    layer = call.layer
    slopes = channels_first(np.asarray(layer.alpha, np.float32))
    return nodes.node("PRelu", [*inputs, nodes.constant(f"{layer.name}/slopes", slopes)], layer.name)


def elu(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write ELU: an exponential below 0."""
    return nodes.node("Elu", inputs, call.layer.name, alpha=float(call.layer.alpha))


def softmax(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write a softmax over the channels."""
    rank = len(call.input_shapes[0])
    if call.layer.axis not in (-1, rank - 1):
        raise unknown_layer(call.layer, " over another axis")
    return nodes.node("Softmax", inputs, call.layer.name, axis=channel_axis(rank))
