"""Keras models as ONNX: the writer that export, pruning and quantisation share."""
