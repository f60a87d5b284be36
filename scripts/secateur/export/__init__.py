"""Files for deployment: ONNX, plain or encrypted, compared with Keras."""
