"""Layers that several families share, and the classification head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from secateur.spec import ModelSpec

# A spec's activation_type -> the constructor of a plain Keras layer. All are 0 at 0, as pruning needs.
ACTIVATIONS: dict[str, Any] = {
    "relu": lambda name: layers.Activation("relu", name=name),
    "relu6": lambda name: layers.Activation("relu6", name=name),
    "swish": lambda name: layers.Activation("silu", name=name),
    "leaky_relu": lambda name: layers.LeakyReLU(negative_slope=0.1, name=name),
    "elu": lambda name: layers.ELU(name=name),
    "mish": lambda name: layers.Activation("mish", name=name),
}


DENSE_HEAD_UNITS = 4096


@dataclass(frozen=True)
class Style:
    """Options that all convolution units of one network share.

    Attributes:
        activation: key of ACTIVATIONS.
        use_batch_norm: whether batch normalisation follows each convolution.
        use_bias: whether convolutions have biases.
        bn_epsilon: the family's own value.
        initializer: of convolution kernels.
        symmetric: whether strided windows have the same padding on all sides, as in PyTorch and the ResNet of
            keras.applications, and not as TensorFlow's `same`, which for an even side pads one more at its end.
    """

    activation: str
    use_batch_norm: bool = True
    use_bias: bool = False
    bn_epsilon: float = 1e-5
    initializer: Any = "he_normal"
    symmetric: bool = False


def activate(x: Any, style: Style, name: str) -> Any:
    """Apply the network's activation."""
    return ACTIVATIONS[style.activation](name)(x)


def conv(x: Any, style: Style, filters: int, kernel: int, name: str, stride: int = 1) -> Any:
    """A convolution that divides the size by the stride only; without activation."""
    x, padding = padded(x, style, kernel, stride, name)
    return layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding=padding,
        use_bias=style.use_bias,
        kernel_initializer=style.initializer,
        name=name,
    )(x)


def depthwise(x: Any, style: Style, kernel: int, name: str, stride: int = 1) -> Any:
    """A convolution with one filter per channel; otherwise as `conv`."""
    x, padding = padded(x, style, kernel, stride, name)
    return layers.DepthwiseConv2D(
        kernel,
        strides=stride,
        padding=padding,
        use_bias=style.use_bias,
        depthwise_initializer=style.initializer,
        name=name,
    )(x)


def padded(x: Any, style: Style, window: int, stride: int, name: str) -> tuple[Any, str]:
    """`x` and the `padding` that a layer with this window shall have, the pad before it where the style wants it."""
    if style.symmetric and stride > 1 and window > 1:
        return layers.ZeroPadding2D((window - 1) // 2, name=f"{name}_pad")(x), "valid"
    return x, "same"


def unit(
    x: Any, style: Style, filters: int, kernel: int, name: str, stride: int = 1, bn_name: str | None = None
) -> Any:
    """Convolution, batch normalisation, activation."""
    x = conv(x, style, filters, kernel, name, stride)
    return activate(norm(x, style, bn_name or f"{name}_bn"), style, f"{name}_act")


def max_pool(x: Any, name: str, window: int = 2) -> Any:
    """Max pooling with stride 2; a side of 1 stays 1."""
    return layers.MaxPooling2D(window, strides=2, padding="same", name=name)(x)


def norm(x: Any, style: Style, name: str) -> Any:
    """Batch normalisation, if the network has it."""
    if not style.use_batch_norm:
        return x
    return layers.BatchNormalization(epsilon=style.bn_epsilon, name=name)(x)


def image_input(model_spec: ModelSpec) -> Any:
    """Input tensor [batch, height, width, channels]; the spec says channels first."""
    channels, height, width = model_spec.input_image_size
    return keras.Input((height, width, channels), name="Input")


def classifier(x: Any, classes: int, dropout: float = 0.0) -> Any:
    """TAO's head: average over the whole map, flatten, dense, softmax in float32.

    Args:
        x: features, [batch, height, width, channels] or [batch, channels].
        classes: outputs.
        dropout: rate before the dense layer; 0 puts no such layer there.
    """
    if len(x.shape) == 4:
        x = layers.Flatten(name="flatten")(average_over_map(x))
    if dropout:
        x = layers.Dropout(dropout, name="top_dropout")(x)
    x = layers.Dense(classes, name="predictions_dense")(x)
    return layers.Activation("softmax", dtype="float32", name="predictions")(x)


def average_over_map(x: Any) -> Any:
    """Average pooling with the window of the whole map, which TAO uses instead of global pooling."""
    return layers.AveragePooling2D((x.shape[1], x.shape[2]), padding="valid", name="avg_pool")(x)


def dense_head(x: Any, style: Style, names: tuple[str, str, str], classes: int, dropout: float) -> Any:
    """The head of VGG and AlexNet: flatten, two dense layers of 4096 with dropout, softmax in float32."""
    x = layers.Flatten(name="flatten")(x)
    for name in names[:2]:
        x = layers.Dense(DENSE_HEAD_UNITS, name=name)(x)
        x = activate(x, style, f"{name}_act")
        if dropout:
            x = layers.Dropout(dropout, name=f"{name}_dropout")(x)
    return softmax_dense(x, classes, names[2])


def softmax_dense(x: Any, classes: int, name: str) -> Any:
    """A dense layer with its softmax, in float32."""
    return layers.Dense(classes, activation="softmax", dtype="float32", name=name)(x)
