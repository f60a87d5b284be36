"""Names of the input and the output of every ONNX file of ours."""

INPUT_NAME, OUTPUT_NAME = "input_1", "predictions"
