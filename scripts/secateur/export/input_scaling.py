"""`preprocessing.json`: what a program must know to feed the exported model, generated from the spec."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.data.preprocessing import (
    CROP_PADDING,
    TORCH_MEAN_GRAY,
    TORCH_MEAN_RGB,
    TORCH_STD,
    caffe_mean,
    preprocess,
)
from secateur.keras_to_onnx.tensor_names import INPUT_NAME, OUTPUT_NAME
from secateur.spec import Spec


def preprocessing_of(spec: Spec) -> dict[str, Any]:
    """Geometry and scaling in words and numbers: network input = (pixel - mean) * scale, per channel.

    `mean` and `scale` are in the order of `channel_order` and in pixel units, 0..255 or 0..65535.
    """
    channels, height, width = spec.model.input_image_size
    mean, scale, order = fed_scaling(spec)
    embedded = spec.export.embed_preprocessing
    plain = "uint16" if spec.model.input_image_depth == 16 else "uint8"
    return {
        "input": {
            "name": INPUT_NAME,
            "layout": "NHWC" if embedded else spec.export.layout.upper(),
            "type": plain if embedded else "float32",
        },
        "embedded": embedded,
        "output": {"name": OUTPUT_NAME, "type": "float32", "meaning": "probability of each class in labels.txt"},
        "channels": channels,
        "height": height,
        "width": width,
        "bits": spec.model.input_image_depth,
        "channel_order": order,
        "preprocess_mode": spec.data.preprocess_mode,
        "mean": mean,
        "scale": scale,
        "value_range": "auto" if spec.data.value_range == "auto" else list(spec.data.value_range),
        "background": spec.data.background,
        "max_pixels": spec.data.max_pixels,
        "interpolation": spec.model.resize_interpolation_method,
        "crop": "center" if spec.augment.enable_center_crop else "none",
        "crop_padding": CROP_PADDING,
        "resize_before_crop": _resize_words(spec.augment.enable_center_crop),
    }


def fed_scaling(spec: Spec) -> tuple[list[float], list[float], str]:
    """The mean, scale and channel order that a program must apply to the input of the exported file."""
    mean, scale, order = scaling_of(spec)
    if not spec.export.embed_preprocessing:
        return mean, scale, order
    return [0.0] * len(mean), [1.0] * len(scale), order.replace("BGR", "RGB")


def scaling_of(spec: Spec) -> tuple[list[float], list[float], str]:
    """The mean, scale and channel order (`RGB`, `BGR` or `gray`) in the training of the network."""
    gray = spec.model.input_image_size[0] == 1
    order = "gray" if gray else ("BGR" if spec.data.preprocess_mode == "caffe" else "RGB")
    return *_mean_and_scale(spec, gray), order


def _mean_and_scale(spec: Spec, gray: bool) -> tuple[list[float], list[float]]:
    depth = spec.model.input_image_depth
    top = float(2**depth - 1)
    if spec.data.preprocess_mode == "caffe":
        mean = [float(value) for value in caffe_mean(spec.data.image_mean, gray, depth)]
        return mean, [1.0] * len(mean)
    if spec.data.preprocess_mode == "tf":
        return [top / 2] * (1 if gray else 3), [2 / top] * (1 if gray else 3)
    shares = (TORCH_MEAN_GRAY,) if gray else TORCH_MEAN_RGB
    return [share * top for share in shares], [1 / (top * TORCH_STD)] * len(shares)


def _resize_words(center_crop: bool) -> str:
    if not center_crop:
        return "to width x height; the aspect ratio is not kept"
    return (
        "an image of exactly width x height is not resized; any other is resized by "
        f"max((width + {CROP_PADDING}) / w, (height + {CROP_PADDING}) / h), both sides truncated, "
        "then the middle width x height is cut out"
    )


def layout_inside(spec: Spec) -> str:
    """The layout of the scaled pixels. A graph that scales the pixels also changes their layout."""
    return "nchw" if spec.export.embed_preprocessing else spec.export.layout


def fed(pixels: NDArray[np.generic], spec: Spec) -> NDArray[np.generic]:
    """The input of the exported ONNX file for these pixels."""
    if spec.export.embed_preprocessing:
        return pixels.astype(np.uint16 if spec.model.input_image_depth == 16 else np.uint8)
    return scaled_input(pixels, spec)


def scaled_input(pixels: NDArray[np.generic], spec: Spec) -> NDArray[np.float32]:
    """Pixels scaled as in training, in the input layout of the network."""
    scaled = scaled_pixels(pixels, spec)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)) if layout_inside(spec) == "nchw" else scaled


def scaled_pixels(pixels: NDArray[np.generic], spec: Spec) -> NDArray[np.float32]:
    """Pixels [batch, height, width, channels] scaled as in training."""
    return preprocess(pixels, spec.data.preprocess_mode, spec.data.image_mean, spec.model.input_image_depth)
