"""How each ONNX operator becomes plain Keras layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import layers
from numpy.typing import NDArray

from secateur.byom.values import CHANNELS_LAST, UnsupportedError, Value, constant, images, last_axis

if TYPE_CHECKING:
    from secateur.byom.convert import Converter, Node

Window = tuple[int, int]


def _attach(layer: Any, inputs: Any, weights: list[NDArray[Any]] | None = None) -> Any:
    """Call a layer and give it its weights, float32."""
    output = layer(inputs)
    if weights is not None:
        layer.set_weights([np.asarray(array, np.float32) for array in weights])
    return output


def _value(operand: Any) -> Value:
    if not isinstance(operand, Value):
        raise UnsupportedError("its input is a constant")
    return operand


# --- convolutions and dense layers


def _conv(converter: Converter, node: Node) -> Value:
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
    return Value(_attach(layer, tensor, [weights, *bias]), CHANNELS_LAST)


def _pair(node: Node, name: str) -> Window:
    first, second = node.options.get(name, (1, 1))
    return int(first), int(second)


def _pads(value: Value, node: Node, window: Window, strides: Window, dilations: Window) -> list[int] | str:
    """[top, left, bottom, right], or `same` where ONNX asks for TensorFlow's way."""
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
    """The tensor with its zeros around it, and the `padding` for the layer."""
    pads = _pads(value, node, window, strides, dilations)
    if isinstance(pads, str):
        return value.tensor, pads
    if not any(pads):
        return value.tensor, "valid"
    if strides == (1, 1) and pads == _same(window, dilations):
        return value.tensor, "same"
    return _zeros(value.tensor, pads, f"{node.name}_pad"), "valid"


def _same(window: Window, dilations: Window) -> list[int] | None:
    """Pads that keep the size at stride 1; None for even windows."""
    reach = [(size - 1) * spread for size, spread in zip(window, dilations, strict=True)]
    return None if any(part % 2 for part in reach) else [part // 2 for part in reach] * 2


def _zeros(tensor: Any, pads: list[int], name: str) -> Any:
    if min(pads) < 0:
        raise UnsupportedError("negative padding")
    top, left, bottom, right = pads
    return layers.ZeroPadding2D(((top, bottom), (left, right)), name=name)(tensor)


def _gemm(converter: Converter, node: Node) -> Value:
    value = _value(node.operands[0])
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
    return Value(_attach(layer, value.tensor, [kernel] if bias is None else [kernel, bias]), (0, 1))


def _matmul(converter: Converter, node: Node) -> Value:
    """On vectors a dense layer; on maps with the channels last a 1x1 convolution."""
    value, kernel = _value(node.operands[0]), constant(node.operands[1], "the matrix")
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
    return value.made(_attach(layer, value.tensor, weights))


# --- normalisation


def _batch_norm(converter: Converter, node: Node) -> Value:
    value = _value(node.operands[0])
    if len(value.axes) == 4:
        images(value)
    elif value.order is not None:
        raise UnsupportedError("works on a flattened map")
    weights = [constant(operand, "a statistic") for operand in node.operands[1:5]]
    layer = layers.BatchNormalization(
        epsilon=float(node.options.get("epsilon", 1e-5)),
        momentum=float(node.options.get("momentum", 0.9)),
        name=node.name,
    )
    return value.made(_attach(layer, value.tensor, weights))


def _layer_norm(converter: Converter, node: Node) -> Value:
    value = _value(node.operands[0])
    last_axis(value, int(node.options.get("axis", -1)))
    scale = constant(node.operands[1], "the scale").reshape(-1)
    offset = node.operands[2] if len(node.operands) > 2 else None
    offset = np.zeros_like(scale) if offset is None else constant(offset, "the offset").reshape(-1)
    layer = layers.LayerNormalization(epsilon=float(node.options.get("epsilon", 1e-5)), name=node.name)
    return value.made(_attach(layer, value.tensor, [scale, offset]))


# --- activations


def _activation(kind: str, not_negative: bool = False) -> Operator:
    def convert(converter: Converter, node: Node) -> Value:
        value = _value(node.operands[0])
        return value.made(layers.Activation(kind, name=node.name)(value.tensor), not_negative)

    return convert


def _leaky_relu(converter: Converter, node: Node) -> Value:
    value = _value(node.operands[0])
    layer = layers.LeakyReLU(negative_slope=float(node.options.get("alpha", 0.01)), name=node.name)
    return value.made(layer(value.tensor))


def _elu(converter: Converter, node: Node) -> Value:
    value = _value(node.operands[0])
    return value.made(layers.ELU(alpha=float(node.options.get("alpha", 1.0)), name=node.name)(value.tensor))


def _gelu(converter: Converter, node: Node) -> Value:
    if node.options.get("approximate", b"none") != b"none":
        raise UnsupportedError("only the exact form is possible")
    return _activation("gelu")(converter, node)


def _hard_sigmoid(converter: Converter, node: Node) -> Value:
    """Keras has the slope 1/6; any other is that one between two scalings."""
    value = _value(node.operands[0])
    slope, offset = float(node.options.get("alpha", 0.2)), float(node.options.get("beta", 0.5))
    tensor = value.tensor
    if not (math.isclose(slope, 1 / 6, rel_tol=1e-5) and math.isclose(offset, 0.5)):
        # relu6(6 a x + 6 b - 3 + 3) / 6
        tensor = layers.Rescaling(6 * slope, 6 * offset - 3, name=f"{node.name}_scaled")(tensor)
    return value.made(layers.Activation("hard_sigmoid", name=node.name)(tensor), not_negative=True)


def _clip(converter: Converter, node: Node) -> Value:
    value = _value(node.operands[0])
    bounds = [_scalar(operand) for operand in (*node.operands[1:], None, None)[:2]]
    low = bounds[0] if bounds[0] is not None else -math.inf
    high = bounds[1] if bounds[1] is not None else math.inf
    if low != 0 or high <= 0:
        raise UnsupportedError(f"from {low:g} to {high:g}; only from 0 to a positive number is possible")
    layer = layers.ReLU(max_value=None if math.isinf(high) else high, name=node.name)
    return value.made(layer(value.tensor), not_negative=True)


def _scalar(operand: Any) -> float | None:
    return None if operand is None else float(constant(operand, "a bound").reshape(()))


def _softmax(converter: Converter, node: Node) -> Value:
    value = _value(node.operands[0])
    last_axis(value, int(node.options.get("axis", -1 if len(value.axes) == 2 else 1)))
    return value.made(layers.Activation("softmax", name=node.name)(value.tensor), not_negative=True)


# --- arithmetic


def _arithmetic(op: str) -> Operator:
    merges = {"Add": layers.Add, "Sub": layers.Subtract, "Mul": layers.Multiply}

    def convert(converter: Converter, node: Node) -> Value:
        first, second = node.operands[:2]
        if isinstance(first, Value) and isinstance(second, Value):
            if op not in merges:
                raise UnsupportedError("division by a computed tensor")
            _require_alike(first, second)
            wider = first if np.prod(first.shape) >= np.prod(second.shape) else second
            merged = merges[op](name=node.name)([first.tensor, second.tensor])
            return wider.made(merged, op != "Sub" and first.not_negative and second.not_negative)
        if isinstance(first, Value):
            return _affine(first, *_scale_and_offset(op, constant(second, "an operand")), node.name)
        value, number = _value(second), constant(first, "an operand")
        if op == "Sub":
            return _affine(value, np.array(-1.0), number, node.name)
        if op == "Div":
            raise UnsupportedError("division by a computed tensor")
        return _affine(value, *_scale_and_offset(op, number), node.name)

    return convert


def _require_alike(first: Value, second: Value) -> None:
    orders = [[] if value.order is None else value.order.tolist() for value in (first, second)]
    if first.axes != second.axes or orders[0] != orders[1]:
        raise UnsupportedError("its inputs have their axes in different orders")


def _scale_and_offset(op: str, number: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    one, zero = np.array(1.0), np.array(0.0)
    if op in ("Add", "Sub"):
        return one, number if op == "Add" else -number
    return number if op == "Mul" else 1 / number, zero


def _affine(value: Value, scale: NDArray[Any], offset: NDArray[Any], name: str) -> Value:
    """Times a constant plus a constant: one number for all, or one for each channel."""
    if scale.size == 1 and offset.size == 1:
        layer = layers.Rescaling(float(scale.reshape(())), float(offset.reshape(())), name=name)
        return value.made(
            layer(value.tensor), value.not_negative and float(scale.min()) > 0 and float(offset.min()) >= 0
        )
    if len(value.axes) != 4:
        raise UnsupportedError("a constant for each element is possible with feature maps only")
    channels = int(value.tensor.shape[-1])
    scales, offsets = (_per_channel(value, array, channels) for array in (scale, offset))
    biased = bool(np.any(offsets))
    layer = layers.DepthwiseConv2D(1, use_bias=biased, name=name)
    return value.made(_attach(layer, value.tensor, [scales.reshape(1, 1, channels, 1), *([offsets] if biased else [])]))


def _per_channel(value: Value, array: NDArray[Any], channels: int) -> NDArray[Any]:
    """A constant that broadcasts against the ONNX tensor, as one number a channel."""
    sides = (1,) * (len(value.axes) - array.ndim) + array.shape
    axis = value.axes[-1]
    if len(sides) != len(value.axes) or any(side != 1 for place, side in enumerate(sides) if place != axis):
        raise UnsupportedError(f"a constant of shape {list(array.shape)} is not one number for each channel")
    return np.broadcast_to(array.reshape(-1), channels)


def _negate(converter: Converter, node: Node) -> Value:
    return _affine(_value(node.operands[0]), np.array(-1.0), np.array(0.0), node.name)


def _power(converter: Converter, node: Node) -> Value:
    value = _value(node.operands[0])
    if _scalar(node.operands[1]) != 2:
        raise UnsupportedError("only the square is possible")
    return value.made(layers.Multiply(name=node.name)([value.tensor, value.tensor]), not_negative=True)


# --- pooling


def _max_pool(converter: Converter, node: Node) -> Value:
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
        tensor = _zeros(tensor, pads, f"{node.name}_pad")
    elif any(pads):
        return _max_pool_in_two(value, node, pads, window, strides)
    return value.made(layers.MaxPooling2D(window, strides, padding, name=node.name)(tensor), value.not_negative)


def _max_pool_in_two(value: Value, node: Node, pads: list[int], window: Window, strides: Window) -> Value:
    """Zeros would win over negative numbers: take each maximum at stride 1, where Keras pads right, then stride."""
    if pads[:2] != (_same(window, (1, 1)) or [])[:2]:
        raise UnsupportedError(f"pads {pads} around numbers that can be negative")
    dense = layers.MaxPooling2D(window, 1, "same", name=f"{node.name}_dense")(value.tensor)
    return value.made(layers.MaxPooling2D(1, strides, "valid", name=node.name)(dense))


def _with_ceiling(value: Value, node: Node, pads: list[int], window: Window, strides: Window) -> list[int]:
    """`ceil_mode` lets the last window hang over the end: as much padding more."""
    if not node.options.get("ceil_mode", 0):
        return pads
    top_left, bottom_right = pads[:2], pads[2:]
    for axis, side in enumerate(value.shape[2:]):
        spare = (side + top_left[axis] + bottom_right[axis] - window[axis]) % strides[axis]
        overhang = (strides[axis] - spare) % strides[axis]
        starts_inside = side + top_left[axis] + bottom_right[axis] + overhang - window[axis] < side + top_left[axis]
        bottom_right[axis] += overhang if starts_inside else 0
    return top_left + bottom_right


def _average_pool(converter: Converter, node: Node) -> Value:
    value = images(node.operands[0])
    window, strides = _pair(node, "kernel_shape"), _pair(node, "strides")
    pads = _pads(value, node, window, strides, (1, 1))
    padding = pads if isinstance(pads, str) else "valid"
    tensor = value.tensor
    if not isinstance(pads, str):
        if pads != _with_ceiling(value, node, list(pads), window, strides):
            raise UnsupportedError("ceil_mode with a window over the end")
        if any(pads) and node.options.get("count_include_pad", 0):
            tensor = _zeros(tensor, pads, f"{node.name}_pad")
        elif strides == (1, 1) and pads == _same(window, (1, 1)):
            padding = "same"
        elif any(pads):
            raise UnsupportedError(f"pads {pads} that do not count")
    return value.made(layers.AveragePooling2D(window, strides, padding, name=node.name)(tensor), value.not_negative)


def _global_pool(kind: type[Any]) -> Operator:
    def convert(converter: Converter, node: Node) -> Value:
        value = images(node.operands[0])
        return value.made(kind(keepdims=True, name=node.name)(value.tensor), value.not_negative)

    return convert


def _reduce_mean(converter: Converter, node: Node) -> Value:
    """Over height and width only."""
    value = _value(node.operands[0])
    axes = node.options.get("axes")
    if axes is None and len(node.operands) > 1 and node.operands[1] is not None:
        axes = constant(node.operands[1], "the axes").tolist()
    spatial = set(value.axes[1:3])
    if len(value.axes) != 4 or {axis % 4 for axis in axes or ()} != spatial:
        raise UnsupportedError(f"over the axes {axes}, not height and width")
    keep = bool(node.options.get("keepdims", 1))
    pooled = layers.GlobalAveragePooling2D(keepdims=keep, name=node.name)(value.tensor)
    return value.made(pooled, value.not_negative) if keep else Value(pooled, (0, 1), not_negative=value.not_negative)


# --- shapes


def _transpose(converter: Converter, node: Node) -> Value:
    """Costs nothing: it is noted where the axes are, and nothing is moved."""
    value = _value(node.operands[0])
    order = node.options.get("perm", list(range(len(value.axes)))[::-1])
    if order[0] != 0 or (value.order is not None and list(order) != sorted(order)):
        raise UnsupportedError("moves the batch axis or a flattened map")
    axes = tuple(list(order).index(axis) for axis in value.axes)
    return Value(value.tensor, axes, value.order, value.not_negative)


def _reshape(converter: Converter, node: Node) -> Value:
    value = _value(node.operands[0])
    target = constant(node.operands[1], "the shape").tolist()
    if node.options.get("allowzero"):
        raise UnsupportedError("allowzero")
    sides = [value.shape[place] if side == 0 else int(side) for place, side in enumerate(target)]
    if -1 in sides:
        known = -int(np.prod(sides))
        sides[sides.index(-1)] = int(np.prod(value.shape)) // max(known, 1)
    return _reshaped(value, tuple(sides), node.name)


def _flatten(converter: Converter, node: Node) -> Value:
    value = _value(node.operands[0])
    if int(node.options.get("axis", 1)) % len(value.axes) != 1:
        raise UnsupportedError("only after the batch axis")
    return _reshaped(value, (1, int(np.prod(value.shape[1:]))), node.name)


def _squeeze(converter: Converter, node: Node) -> Value:
    value = _value(node.operands[0])
    axes = _axes(node) or [axis for axis, side in enumerate(value.shape) if side == 1 and axis]
    gone = {axis % len(value.shape) for axis in axes}
    return _reshaped(value, tuple(side for axis, side in enumerate(value.shape) if axis not in gone), node.name)


def _unsqueeze(converter: Converter, node: Node) -> Value:
    value = _value(node.operands[0])
    axes = _axes(node) or []
    rank = len(value.shape) + len(axes)
    rest = iter(value.shape)
    new = {axis % rank for axis in axes}
    return _reshaped(value, tuple(1 if axis in new else next(rest) for axis in range(rank)), node.name)


def _axes(node: Node) -> list[int] | None:
    """An attribute up to opset 12, an input from 13 on."""
    if "axes" in node.options:
        return list(node.options["axes"])
    operand = node.operands[1] if len(node.operands) > 1 else None
    return None if operand is None else [int(axis) for axis in constant(operand, "the axes").reshape(-1)]


def _reshaped(value: Value, sides: tuple[int, ...], name: str) -> Value:
    """To a vector an image, or between a vector and a map of 1x1."""
    if sides == value.shape:
        return value
    if sides[0] != 1 or np.prod(sides) != np.prod(value.shape):
        raise UnsupportedError(f"from {list(value.shape)} to {list(sides)} mixes images")
    if len(sides) == 2 and len(value.axes) == 4:
        return _flattened(value, name)
    channels = int(np.prod(sides))
    single = sum(side != 1 for side in sides) <= 1 and sum(side != 1 for side in value.shape) <= 1
    if len(sides) == 4 and single and value.order is None and sides[2] == 1:
        tensor = value.tensor
        if len(value.axes) != 4 or value.tensor.shape[-1] != channels:
            tensor = layers.Reshape((1, 1, channels), name=name)(tensor)
        axes = CHANNELS_LAST if sides[1] == channels else (0, 1, 2, 3)
        return Value(tensor, axes, not_negative=value.not_negative)
    raise UnsupportedError(f"from {list(value.shape)} to {list(sides)}")


def _flattened(value: Value, name: str) -> Value:
    positions = np.arange(np.prod(value.shape[1:])).reshape(value.shape[1:])
    order = positions.transpose([axis - 1 for axis in value.axes[1:]]).reshape(-1)
    same = bool((order == np.arange(len(order))).all())
    flat = layers.Flatten(name=name)(value.tensor)
    return Value(flat, (0, 1), None if same else order, value.not_negative)


def _concat(converter: Converter, node: Node) -> Value:
    values = [_value(operand) for operand in node.operands]
    for other in values[1:]:
        _require_alike(values[0], other)
    if values[0].order is not None:
        raise UnsupportedError("joins flattened maps")
    axis = values[0].axes.index(int(node.options["axis"]) % len(values[0].axes))
    if len(values) == 1:
        return values[0]
    joined = layers.Concatenate(axis=-1 if axis == len(values[0].axes) - 1 else axis, name=node.name)(
        [value.tensor for value in values]
    )
    return values[0].made(joined, all(value.not_negative for value in values))


def _pad(converter: Converter, node: Node) -> Value:
    value = _value(node.operands[0])
    pads = constant(node.operands[1], "the padding").tolist()
    fill = _scalar(node.operands[2]) if len(node.operands) > 2 and node.operands[2] is not None else 0.0
    if node.options.get("mode", b"constant") != b"constant" or fill or len(pads) != 8 or len(value.axes) != 4:
        raise UnsupportedError("only zeros around a map are possible")
    begin, end = ([pads[place + axis] for axis in value.axes] for place in (0, 4))
    if begin[0] or begin[3] or end[0] or end[3]:
        raise UnsupportedError("pads images or channels")
    return value.made(_zeros(value.tensor, [*begin[1:3], *end[1:3]], node.name), value.not_negative)


def _identity(converter: Converter, node: Node) -> Value:
    return _value(node.operands[0])


def _cast(converter: Converter, node: Node) -> Value:
    if node.options.get("to") != 1:  # onnx.TensorProto.FLOAT
        raise UnsupportedError("to another type than float32")
    return _value(node.operands[0])


Operator = Callable[["Converter", "Node"], Value]
OPERATORS: dict[str, Operator] = {
    "Add": _arithmetic("Add"),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": _arithmetic("Div"),
    "Dropout": _identity,
    "Elu": _elu,
    "Flatten": _flatten,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool(layers.GlobalAveragePooling2D),
    "GlobalMaxPool": _global_pool(layers.GlobalMaxPooling2D),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _activation("hard_silu"),
    "Identity": _identity,
    "KerasHardSigmoid": _activation("hard_sigmoid", not_negative=True),
    "LayerNormalization": _layer_norm,
    "LeakyRelu": _leaky_relu,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Mish": _activation("mish"),
    "Mul": _arithmetic("Mul"),
    "Neg": _negate,
    "Pad": _pad,
    "Pow": _power,
    "ReduceMean": _reduce_mean,
    "Relu": _activation("relu", not_negative=True),
    "Reshape": _reshape,
    "Sigmoid": _activation("sigmoid", not_negative=True),
    "Silu": _activation("silu"),
    "Softmax": _softmax,
    "Softplus": _activation("softplus", not_negative=True),
    "Squeeze": _squeeze,
    "Sub": _arithmetic("Sub"),
    "Tanh": _activation("tanh"),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
