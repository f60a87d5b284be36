"""Files for deployment: ONNX, plain or sealed, checked against Keras."""
