"""The same arithmetic by faster kernels of TensorFlow on the CPU: decides how much of a grid can be measured.

    .venv/bin/python bench/pruning/kernels.py

prints the time of a training step with and without them, and how far apart the gradients are.

Keras writes a batch normalisation in training as a dozen elementwise operations, where TensorFlow has a fused one; and
oneDNN's gradient of a depthwise convolution's filter takes several times as long as TensorFlow's own.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))

import keras
import numpy as np
import tensorflow as tf
from secateur.spec import ModelSpec
from secateur.zoo import build
from setup import BATCH, OPTIONS, SIZE

_plain_call = keras.layers.BatchNormalization.call
_depthwise_conv2d = tf.nn.depthwise_conv2d


def _batch_normalisation(
    self: keras.layers.BatchNormalization, inputs: tf.Tensor, training: bool | None = None, mask: Any = None
) -> tf.Tensor:
    """One fused operation in training; its variance is unbiased, Keras's moving one is not."""
    if not (training and self.trainable and len(inputs.shape) == 4):
        return _plain_call(self, inputs, training=training, mask=mask)
    output, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=tf.convert_to_tensor(self.gamma),
        offset=tf.convert_to_tensor(self.beta),
        mean=tf.zeros([0]),
        variance=tf.zeros([0]),
        epsilon=self.epsilon,
        is_training=True,
    )
    count = tf.cast(tf.size(inputs) / tf.shape(inputs)[-1], variance.dtype)
    for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance * (count - 1) / count)):
        moving.assign(moving * self.momentum + value * (1 - self.momentum))
    return output


def _depthwise(inputs: tf.Tensor, filter: tf.Tensor, strides: Any, padding: str, **options: Any) -> tf.Tensor:
    """The filter's gradient in float64, which oneDNN does not take over from TensorFlow's own kernel."""
    if any(rate != 1 for rate in options.get("dilations") or ()):
        return _depthwise_conv2d(inputs, filter, strides, padding, **options)
    same = {"strides": list(strides), "padding": padding}

    @tf.custom_gradient
    def convolve(inputs: tf.Tensor, kernel: tf.Tensor) -> Any:
        def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            for_inputs = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
                input_sizes=tf.shape(inputs), filter=kernel, out_backprop=upstream, **same
            )
            for_kernel = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
                input=tf.cast(inputs, tf.float64),
                filter_sizes=tf.shape(kernel),
                out_backprop=tf.cast(upstream, tf.float64),
                **same,
            )
            return for_inputs, tf.cast(for_kernel, kernel.dtype)

        return _depthwise_conv2d(inputs, kernel, **same, **options), gradients

    return convolve(inputs, tf.convert_to_tensor(filter))


def use(fast: bool = True) -> None:
    """From now on, in what this process traces."""
    keras.layers.BatchNormalization.call = _batch_normalisation if fast else _plain_call
    tf.nn.depthwise_conv2d = _depthwise if fast else _depthwise_conv2d


def _step(arch: str, fast: bool) -> tuple[Callable[[], list[tf.Tensor]], list[np.ndarray]]:
    """A training step but for the update of the weights, and its gradients with fresh weights."""
    use(fast)
    keras.utils.set_random_seed(1)
    model = build(ModelSpec(arch=arch, input_image_size=(3, SIZE, SIZE), **OPTIONS[arch]), 10)
    pixels, labels = tf.random.normal((BATCH, SIZE, SIZE, 3)), tf.one_hot(tf.range(BATCH) % 10, 10)

    @tf.function
    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = keras.losses.categorical_crossentropy(labels, model(pixels, training=True))
        return tape.gradient(loss, model.trainable_variables)

    return gradients, [np.asarray(gradient) for gradient in gradients()]


def _timed(step: Callable[[], list[tf.Tensor]]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main() -> None:
    """A line an architecture: medians of 20 steps of each kind, in turn."""
    for arch in OPTIONS:
        (plain, expected), (fast, found) = _step(arch, False), _step(arch, True)
        times = np.median([(_timed(plain), _timed(fast)) for _ in range(20)], axis=0)
        difference = sum(np.square(a - b).sum() for a, b in zip(expected, found, strict=True)) ** 0.5
        length = sum(np.square(gradient).sum() for gradient in expected) ** 0.5
        print(
            f"{arch}: {1000 * times[0]:.0f} ms, with these {times[1] / times[0]:.2f} of it; gradients differ by "
            f"{difference / length:.1e}"
        )


if __name__ == "__main__":
    main()
