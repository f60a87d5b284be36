"""Bring your own model: an ONNX file as a flat Keras graph of plain layers."""

from secateur.byom.convert import keras_from_onnx

__all__ = ["keras_from_onnx"]
