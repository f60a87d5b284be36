"""Convert ONNX operators that move elements: transposing, reshaping, joining, padding."""

from __future__ import annotations

import numpy as np
from keras import layers

from secateur.byom.values import (
    CHANNELS_LAST,
    Node,
    UnsupportedError,
    Value,
    computed,
    constant,
    require_alike,
    scalar,
    zero_padded,
)


def transpose(node: Node) -> Value:
    """Convert Transpose. Nothing is computed: only the new places of the axes are noted."""
    value = computed(node.operands[0])
    order = node.options.get("perm", list(range(len(value.axes)))[::-1])
    if order[0] != 0 or (value.order is not None and list(order) != sorted(order)):
        raise UnsupportedError("it moves the batch axis or a flattened map")
    axes = tuple(list(order).index(axis) for axis in value.axes)
    return Value(value.tensor, axes, value.order, value.not_negative)


def reshape(node: Node) -> Value:
    """Convert Reshape to a constant shape."""
    value = computed(node.operands[0])
    target = constant(node.operands[1], "the shape").tolist()
    if node.options.get("allowzero"):
        raise UnsupportedError("allowzero")
    sides = [value.shape[place] if side == 0 else int(side) for place, side in enumerate(target)]
    if -1 in sides:
        known = -int(np.prod(sides))
        sides[sides.index(-1)] = int(np.prod(value.shape)) // max(known, 1)
    return _reshaped(value, tuple(sides), node.name)


def flatten(node: Node) -> Value:
    """Convert Flatten: all axes after the batch axis become one."""
    value = computed(node.operands[0])
    if int(node.options.get("axis", 1)) % len(value.axes) != 1:
        raise UnsupportedError("it can only flatten the axes after the batch axis")
    return _reshaped(value, (1, int(np.prod(value.shape[1:]))), node.name)


def squeeze(node: Node) -> Value:
    """Convert Squeeze: remove axes of length 1."""
    value = computed(node.operands[0])
    axes = _axes(node) or [axis for axis, side in enumerate(value.shape) if side == 1 and axis]
    gone = {axis % len(value.shape) for axis in axes}
    return _reshaped(value, tuple(side for axis, side in enumerate(value.shape) if axis not in gone), node.name)


def unsqueeze(node: Node) -> Value:
    """Convert Unsqueeze: add axes of length 1."""
    value = computed(node.operands[0])
    axes = _axes(node) or []
    rank = len(value.shape) + len(axes)
    rest = iter(value.shape)
    new = {axis % rank for axis in axes}
    return _reshaped(value, tuple(1 if axis in new else next(rest) for axis in range(rank)), node.name)


def _axes(node: Node) -> list[int] | None:
    """The axes of a node: an attribute up to opset 12, an input from opset 13."""
    if "axes" in node.options:
        return list(node.options["axes"])
    operand = node.operands[1] if len(node.operands) > 1 else None
    return None if operand is None else [int(axis) for axis in constant(operand, "the axes").reshape(-1)]


def _reshaped(value: Value, sides: tuple[int, ...], name: str) -> Value:
    """Reshape to one vector per image, or between a vector and a map of 1x1."""
    if sides == value.shape:
        return value
    if sides[0] != 1 or np.prod(sides) != np.prod(value.shape):
        raise UnsupportedError(f"the reshape from {list(value.shape)} to {list(sides)} mixes images")
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
    raise UnsupportedError(f"the reshape from {list(value.shape)} to {list(sides)} is not possible")


def _flattened(value: Value, name: str) -> Value:
    positions = np.arange(np.prod(value.shape[1:])).reshape(value.shape[1:])
    order = positions.transpose([axis - 1 for axis in value.axes[1:]]).reshape(-1)
    same = bool((order == np.arange(len(order))).all())
    flat = layers.Flatten(name=name)(value.tensor)
    return Value(flat, (0, 1), None if same else order, value.not_negative)


def concat(node: Node) -> Value:
    """Convert Concat along any axis, if all tensors have their axes in the same order."""
    values = [computed(operand) for operand in node.operands]
    for other in values[1:]:
        require_alike(values[0], other)
    if values[0].order is not None:
        raise UnsupportedError("it joins flattened maps")
    axis = values[0].axes.index(int(node.options["axis"]) % len(values[0].axes))
    if len(values) == 1:
        return values[0]
    joined = layers.Concatenate(axis=-1 if axis == len(values[0].axes) - 1 else axis, name=node.name)(
        [value.tensor for value in values]
    )
    return values[0].made(joined, all(value.not_negative for value in values))


def pad(node: Node) -> Value:
    """Convert Pad with zeros around a map."""
    value = computed(node.operands[0])
    pads = constant(node.operands[1], "the padding").tolist()
    fill = scalar(node.operands[2]) if len(node.operands) > 2 and node.operands[2] is not None else 0.0
    if node.options.get("mode", b"constant") != b"constant" or fill or len(pads) != 8 or len(value.axes) != 4:
        raise UnsupportedError("only zeros around a map are possible")
    begin, end = ([pads[place + axis] for axis in value.axes] for place in (0, 4))
    if begin[0] or begin[3] or end[0] or end[3]:
        raise UnsupportedError("it pads the batch or the channels")
    return value.made(zero_padded(value.tensor, [*begin[1:3], *end[1:3]], node.name), value.not_negative)


def identity(node: Node) -> Value:
    """Convert a node that does nothing, such as dropout outside training."""
    return computed(node.operands[0])


def cast(node: Node) -> Value:
    """Convert Cast to float32: it does nothing, since all values are float32."""
    if node.options.get("to") != 1:  # onnx.TensorProto.FLOAT
        raise UnsupportedError("it casts to another type than float32")
    return computed(node.operands[0])
