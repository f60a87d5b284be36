"""Convert ONNX operators with kernels and windows: convolutions, products with matrices, pooling."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers
from numpy.typing import NDArray

from secateur.byom.values import (
    CHANNELS_LAST,
    Node,
    Operator,
    UnsupportedError,
    Value,
    attach,
    computed,
    constant,
    images,
    last_axis,
    zero_padded,
)

Window = tuple[int, int]


def conv(node: Node) -> Value:
    """Convert a plain, grouped or depthwise convolution in two dimensions."""
    value = images(node.operands[0])
    kernel = constant(node.operands[1], "the kernel")
    if kernel.ndim != 4:
        raise UnsupportedError("only two-dimensional convolutions are possible")
    bias = [constant(node.operands[2], "the bias")] if len(node.operands) > 2 and node.operands[2] is not None else []
    groups = int(node.options.get("group", 1))
    strides, dilations = _pair(node, "strides"), _pair(node, "dilations")
    tensor, padding = _padded(value, node, (kernel.shape[2], kernel.shape[3]), strides, dilations)
    shared = {
        "strides": strides,
        "padding": padding,
        "dilation_rate": dilations,
        "use_bias": bool(bias),
        "name": node.name,
    }
    channels = value.shape[1]
    if groups == channels and groups > 1:
        multiplier = kernel.shape[0] // channels
        weights = kernel.reshape(channels, multiplier, *kernel.shape[2:]).transpose(2, 3, 0, 1)
        layer = layers.DepthwiseConv2D(kernel.shape[2:], depth_multiplier=multiplier, **shared)
    else:
        weights = kernel.transpose(2, 3, 1, 0)
        layer = layers.Conv2D(kernel.shape[0], kernel.shape[2:], groups=groups, **shared)
    return Value(attach(layer, tensor, [weights, *bias]), CHANNELS_LAST)


def _pair(node: Node, name: str) -> Window:
    first, second = node.options.get(name, (1, 1))
    return int(first), int(second)


def _pads(value: Value, node: Node, window: Window, strides: Window, dilations: Window) -> list[int] | str:
    """The pads [top, left, bottom, right], or `same` if ONNX asks for TensorFlow's padding."""
    automatic = node.options.get("auto_pad", b"NOTSET").decode()
    if automatic == "SAME_UPPER":
        return "same"
    if automatic == "SAME_LOWER":
        begin, end = [], []
        for side, size, stride, spread in zip(value.shape[2:], window, strides, dilations, strict=True):
            total = max((-(-side // stride) - 1) * stride + (size - 1) * spread + 1 - side, 0)
            end.append(total // 2)
            begin.append(total - total // 2)
        return begin + end
    return [int(pad) for pad in node.options.get("pads", [0, 0, 0, 0])]


def _padded(value: Value, node: Node, window: Window, strides: Window, dilations: Window) -> tuple[Any, str]:
    """The tensor, padded with zeros if needed, and the `padding` for the layer."""
    pads = _pads(value, node, window, strides, dilations)
    if isinstance(pads, str):
        return value.tensor, pads
    if not any(pads):
        return value.tensor, "valid"
    if strides == (1, 1) and pads == _same(window, dilations):
        return value.tensor, "same"
    return zero_padded(value.tensor, pads, f"{node.name}_pad"), "valid"


def _same(window: Window, dilations: Window) -> list[int] | None:
    """The pads that keep the size at stride 1; None for even windows."""
    reach = [(size - 1) * spread for size, spread in zip(window, dilations, strict=True)]
    return None if any(part % 2 for part in reach) else [part // 2 for part in reach] * 2


def gemm(node: Node) -> Value:
    """Convert Gemm to a dense layer."""
    value = computed(node.operands[0])
    if node.options.get("transA") or len(value.axes) != 2:
        raise UnsupportedError("only a product with a batch of vectors is possible")
    kernel = constant(node.operands[1], "the matrix") * node.options.get("alpha", 1.0)
    kernel = kernel.T if node.options.get("transB") else kernel
    bias = None
    if len(node.operands) > 2 and node.operands[2] is not None:
        offset = constant(node.operands[2], "the offset") * node.options.get("beta", 1.0)
        bias = np.broadcast_to(offset.reshape(-1), kernel.shape[1])
    return _dense(value, kernel, bias, node.name)


def _dense(value: Value, kernel: NDArray[Any], bias: NDArray[Any] | None, name: str) -> Value:
    if value.order is not None:
        kernel = kernel[value.order]
    layer = layers.Dense(kernel.shape[1], use_bias=bias is not None, name=name)
    return Value(attach(layer, value.tensor, [kernel] if bias is None else [kernel, bias]), (0, 1))


def matmul(node: Node) -> Value:
    """Convert MatMul: of vectors to a dense layer, of maps with channels last to a 1x1 convolution."""
    value, kernel = computed(node.operands[0]), constant(node.operands[1], "the matrix")
    bias = constant(node.operands[2], "the offset") if len(node.operands) > 2 else None  # see fuse.py
    if bias is not None:
        bias = np.broadcast_to(bias, kernel.shape[-1:])
    if kernel.ndim != 2 or len(value.axes) not in (2, 4):
        raise UnsupportedError("only products with one matrix are possible")
    if len(value.axes) == 2:
        return _dense(value, kernel, bias, node.name)
    last_axis(value, -1)
    layer = layers.Conv2D(kernel.shape[1], 1, use_bias=bias is not None, name=node.name)
    weights = [kernel[None, None]] if bias is None else [kernel[None, None], bias]
    return value.made(attach(layer, value.tensor, weights))


def max_pool(node: Node) -> Value:
    """Convert MaxPool, with pads that are never larger than a number of the map."""
    value = images(node.operands[0])
    window, strides = _pair(node, "kernel_shape"), _pair(node, "strides")
    if _pair(node, "dilations") != (1, 1) or len(node.proto.output) > 1:
        raise UnsupportedError("dilated windows and indices are not possible")
    pads = _pads(value, node, window, strides, (1, 1))
    if isinstance(pads, str):
        return value.made(layers.MaxPooling2D(window, strides, pads, name=node.name)(value.tensor), value.not_negative)
    pads = _with_ceiling(value, node, pads, window, strides)
    tensor, padding = value.tensor, "valid"
    if strides == (1, 1) and pads == _same(window, (1, 1)):
        padding = "same"
    elif any(pads) and value.not_negative:
        tensor = zero_padded(tensor, pads, f"{node.name}_pad")
    elif any(pads):
        return _max_pool_in_two(value, node, pads, window, strides)
    return value.made(layers.MaxPooling2D(window, strides, padding, name=node.name)(tensor), value.not_negative)


def _max_pool_in_two(value: Value, node: Node, pads: list[int], window: Window, strides: Window) -> Value:
    """Pool numbers that can be negative, where zero pads would be too large.

    Each maximum is taken at stride 1, where Keras pads correctly; then the result is strided.
    """
    if pads[:2] != (_same(window, (1, 1)) or [])[:2]:
        raise UnsupportedError(f"it pads with {pads} around numbers that can be negative")
    dense = layers.MaxPooling2D(window, 1, "same", name=f"{node.name}_dense")(value.tensor)
    return value.made(layers.MaxPooling2D(1, strides, "valid", name=node.name)(dense))


def _with_ceiling(value: Value, node: Node, pads: list[int], window: Window, strides: Window) -> list[int]:
    """Add the padding that `ceil_mode` needs for a last window that exceeds the map."""
    if not node.options.get("ceil_mode", 0):
        return pads
    top_left, bottom_right = pads[:2], pads[2:]
    for axis, side in enumerate(value.shape[2:]):
        spare = (side + top_left[axis] + bottom_right[axis] - window[axis]) % strides[axis]
        overhang = (strides[axis] - spare) % strides[axis]
        starts_inside = side + top_left[axis] + bottom_right[axis] + overhang - window[axis] < side + top_left[axis]
        bottom_right[axis] += overhang if starts_inside else 0
    return top_left + bottom_right


def average_pool(node: Node) -> Value:
    """Convert AveragePool, whether its pads count or not."""
    value = images(node.operands[0])
    window, strides = _pair(node, "kernel_shape"), _pair(node, "strides")
    pads = _pads(value, node, window, strides, (1, 1))
    padding = pads if isinstance(pads, str) else "valid"
    tensor = value.tensor
    if not isinstance(pads, str):
        if pads != _with_ceiling(value, node, list(pads), window, strides):
            raise UnsupportedError("it has ceil_mode with a window that exceeds the map")
        if any(pads) and node.options.get("count_include_pad", 0):
            tensor = zero_padded(tensor, pads, f"{node.name}_pad")
        elif strides == (1, 1) and pads == _same(window, (1, 1)):
            padding = "same"
        elif any(pads):
            raise UnsupportedError(f"its pads {pads} do not count")
    return value.made(layers.AveragePooling2D(window, strides, padding, name=node.name)(tensor), value.not_negative)


def global_pool(kind: type[Any]) -> Operator:
    """The converter of a pool over the whole map."""

    def convert(node: Node) -> Value:
        value = images(node.operands[0])
        return value.made(kind(keepdims=True, name=node.name)(value.tensor), value.not_negative)

    return convert


def reduce_mean(node: Node) -> Value:
    """Convert ReduceMean over height and width only."""
    value = computed(node.operands[0])
    axes = node.options.get("axes")
    if axes is None and len(node.operands) > 1 and node.operands[1] is not None:
        axes = constant(node.operands[1], "the axes").tolist()
    spatial = set(value.axes[1:3])
    if len(value.axes) != 4 or {axis % 4 for axis in axes or ()} != spatial:
        raise UnsupportedError(f"it reduces the axes {axes}, not height and width")
    keep = bool(node.options.get("keepdims", 1))
    pooled = layers.GlobalAveragePooling2D(keepdims=keep, name=node.name)(value.tensor)
    return value.made(pooled, value.not_negative) if keep else Value(pooled, (0, 1), not_negative=value.not_negative)
