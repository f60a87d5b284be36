"""The names of the input and the output of every ONNX file that secateur writes."""

INPUT_NAME, OUTPUT_NAME = "input_1", "predictions"
