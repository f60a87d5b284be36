"""Write Keras models as ONNX. Export, pruning and quantisation share this writer."""
