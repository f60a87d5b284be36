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
}


@dataclass(frozen=True)
class Style:
    """What all convolution units of one network have in common.

    Attributes:
        activation: key of ACTIVATIONS.
        use_batch_norm: whether batch normalisation follows each convolution.
        use_bias: whether convolutions have biases.
        bn_momentum, bn_epsilon: the family's own values.
        initializer: of convolution kernels.
    """

    activation: str
    use_batch_norm: bool
    use_bias: bool
    bn_momentum: float
    bn_epsilon: float
    initializer: Any


def activate(x: Any, style: Style, name: str) -> Any:
    """Apply the network's activation."""
    return ACTIVATIONS[style.activation](name)(x)


def conv(x: Any, style: Style, filters: int, kernel: int, name: str, stride: int = 1) -> Any:
    """Convolution with `same` padding, no activation."""
    return layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=style.use_bias,
        kernel_initializer=style.initializer,
        name=name,
    )(x)


def norm(x: Any, style: Style, name: str) -> Any:
    """Batch normalisation, where the network has it."""
    if not style.use_batch_norm:
        return x
    return layers.BatchNormalization(momentum=style.bn_momentum, epsilon=style.bn_epsilon, name=name)(x)


def image_input(spec: ModelSpec) -> Any:
    """Input tensor [batch, height, width, channels]; the spec says channels first."""
    channels, height, width = spec.input_image_size
    return keras.Input((height, width, channels), name="Input")


def classifier(x: Any, classes: int) -> Any:
    """TAO's head: average over the whole map, flatten, dense, softmax in float32."""
    x = average_over_map(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(classes, name="predictions_dense")(x)
    return layers.Activation("softmax", dtype="float32", name="predictions")(x)


def average_over_map(x: Any) -> Any:
    """Average pooling with the window of the whole map, as TAO has it in place of global pooling."""
    return layers.AveragePooling2D((x.shape[1], x.shape[2]), padding="valid", name="avg_pool")(x)
