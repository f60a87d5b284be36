"""ONNX files of Keras networks, made by tf2onnx."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import keras
import numpy as np
import onnxruntime
from keras import layers
from secateur.quantization.exact import exact_options


def run_onnx(content: bytes, images: np.ndarray, layout: str = "nchw") -> np.ndarray:
    """Answers of ONNX Runtime for images [batch, height, width, channels]."""
    session = onnxruntime.InferenceSession(content, exact_options(), providers=["CPUExecutionProvider"])
    fed = images.transpose(0, 3, 1, 2) if layout == "nchw" else images
    return session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(fed)})[0]


def randomise(model: keras.Model) -> None:
    """Statistics of batch normalisation that are not those of a fresh network."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])


def exported(model: keras.Model, path: Path, opset: int = 17, nchw: bool = False) -> Path:
    """Freeze a network and convert it, as tf2onnx' own command line does."""
    import tensorflow as tf
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    with quiet():
        signature = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
        call = tf.function(lambda images: model(images, training=False), input_signature=[signature])
        frozen = convert_variables_to_constants_v2(call.get_concrete_function())
        given, made = frozen.inputs[0].name, frozen.outputs[0].name
        proto, _ = tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(),
            input_names=[given],
            output_names=[made],
            opset=opset,
            inputs_as_nchw=[given] if nchw else None,
        )
    path.write_bytes(proto.SerializeToString())
    return path


@contextlib.contextmanager
def quiet():
    """tf2onnx logs tracebacks of optimisations that it then leaves out."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
