"""Write layers with kernels as ONNX nodes. Four-dimensional tensors are NCHW."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.keras_to_onnx.activations import activated
from secateur.keras_to_onnx.common import unknown_layer
from secateur.keras_to_onnx.nodes import Nodes
from secateur.keras_to_onnx.normalisations import scale_and_offset
from secateur.models.graph import Call


def same_pads(
    size: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...]
) -> list[int]:
    """The ONNX pads [top, left, bottom, right] for TensorFlow's `same` padding."""
    begin, end = [], []
    for side, window, stride, spread in zip(size, kernel, strides, dilation, strict=True):
        reach = (window - 1) * spread + 1
        total = max((-(-side // stride) - 1) * stride + reach - side, 0)
        begin.append(total // 2)
        end.append(total - total // 2)
    return begin + end


def pads_of(call: Call, kernel: tuple[int, ...], dilation: tuple[int, ...] = (1, 1)) -> list[int]:
    """The ONNX pads of a window layer. Raises ModelError if the size of its input is not known."""
    if call.layer.padding == "valid":
        return [0, 0, 0, 0]
    size = tuple(side or 0 for side in call.input_shapes[0][1:3])
    if 0 in size:
        raise unknown_layer(call.layer, " with an input of unknown size")
    return same_pads(size, kernel, call.layer.strides, dilation)


def affine(nodes: Nodes, call: Call, kernel: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """The float32 kernel [outputs, ...] and bias of a layer, with the following batch normalisation folded in."""
    layer = call.layer
    bias = np.asarray(layer.bias, np.float64) if layer.use_bias else None
    norm = nodes.folded.get(call.outputs[0])
    if norm is not None:
        scale, offset = scale_and_offset(norm)
        kernel = kernel.astype(np.float64) * scale.reshape(-1, *[1] * (kernel.ndim - 1))
        bias = offset if bias is None else bias * scale + offset
    return np.asarray(kernel, np.float32), None if bias is None else bias.astype(np.float32)


def convolution(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write a plain or grouped convolution."""
    layer = call.layer
    kernel = np.asarray(layer.kernel).transpose(3, 2, 0, 1)
    operands = [*inputs, *_kernel_and_bias(nodes, call, kernel)]
    return activated(nodes, layer, _window(nodes, call, operands, layer.name, layer.groups))


def depthwise(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write a depthwise convolution, as a convolution with one group per channel."""
    layer = call.layer
    kernel = _depthwise_kernel(layer.kernel)
    operands = [*inputs, *_kernel_and_bias(nodes, call, kernel)]
    return activated(nodes, layer, _window(nodes, call, operands, layer.name, int(layer.kernel.shape[2])))


def separable(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write a separable convolution: a depthwise one without bias, then one of 1x1 with the bias and normalisation."""
    layer = call.layer
    name, channels = f"{layer.name}_depthwise", int(layer.depthwise_kernel.shape[2])
    first = nodes.constant(f"{layer.name}/depthwise_kernel", _depthwise_kernel(layer.depthwise_kernel))
    value = _window(nodes, call, [*inputs, first], name, channels)
    pointwise = np.asarray(layer.pointwise_kernel).transpose(3, 2, 0, 1)
    output = nodes.node("Conv", [value, *_kernel_and_bias(nodes, call, pointwise)], layer.name, kernel_shape=(1, 1))
    return activated(nodes, layer, output)


def _depthwise_kernel(kernel: Any) -> NDArray[np.float32]:
    """[height, width, channels, multiplier] as [channels * multiplier, 1, height, width]."""
    height, width, channels, multiplier = kernel.shape
    flat = np.asarray(kernel, np.float32).reshape(height, width, channels * multiplier, 1)
    return np.asarray(flat.transpose(2, 3, 0, 1))


def _kernel_and_bias(nodes: Nodes, call: Call, kernel: NDArray[Any]) -> list[str]:
    """The constants of a kernel, whose first axis is the layer's outputs, and of its bias, if there is one."""
    folded, bias = affine(nodes, call, kernel)
    names = [nodes.constant(f"{call.layer.name}/kernel", folded)]
    return names if bias is None else [*names, nodes.constant(f"{call.layer.name}/bias", bias)]


def _window(nodes: Nodes, call: Call, operands: list[str], name: str, groups: int) -> str:
    """A node that moves the layer's window over a map, with its strides, dilation and padding."""
    layer = call.layer
    return nodes.node(
        "Conv",
        operands,
        name,
        kernel_shape=layer.kernel_size,
        strides=layer.strides,
        dilations=layer.dilation_rate,
        pads=nodes.padding.get(call.inputs[0]) or pads_of(call, layer.kernel_size, layer.dilation_rate),
        group=groups,
    )


def transposed(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write a transposed convolution. With `same` the map is as large as the input times the stride."""
    layer = call.layer
    if layer.output_padding is not None:
        raise unknown_layer(layer, " with an output_padding")
    reaches = [(size - 1) * spread + 1 for size, spread in zip(layer.kernel_size, layer.dilation_rate, strict=True)]
    spare = [reach - stride for reach, stride in zip(reaches, layer.strides, strict=True)]
    cropped = [max(more, 0) if layer.padding == "same" else 0 for more in spare]
    kernel = nodes.constant(f"{layer.name}/kernel", np.asarray(layer.kernel, np.float32).transpose(3, 2, 0, 1))
    bias = [nodes.constant(f"{layer.name}/bias", np.asarray(layer.bias, np.float32))] if layer.use_bias else []
    output = nodes.node(
        "ConvTranspose",
        [*inputs, kernel, *bias],
        layer.name,
        kernel_shape=layer.kernel_size,
        strides=layer.strides,
        dilations=layer.dilation_rate,
        pads=[crop // 2 for crop in cropped] + [crop - crop // 2 for crop in cropped],
        output_padding=[max(-more, 0) for more in spare],
    )
    return activated(nodes, layer, output)


def dense(nodes: Nodes, call: Call, inputs: list[str]) -> str:
    """Write a dense layer: a product of vectors and a matrix [outputs, inputs], the order that PyTorch writes too.

    OpenCV 4.6 (Debian 12) takes a Gemm in no other order.
    """
    layer = call.layer
    if len(call.input_shapes[0]) != 2:
        raise unknown_layer(layer, " on more than one axis")
    operands = [*inputs, *_kernel_and_bias(nodes, call, np.asarray(layer.kernel).T)]
    return activated(nodes, layer, nodes.node("Gemm", operands, layer.name, transB=1))
