"""Bring your own model: an ONNX file as a flat Keras graph of plain layers."""
