"""Which function converts each ONNX operator."""

from __future__ import annotations

from keras import layers

from secateur.byom import functions, shapes, windows
from secateur.byom.values import Operator

OPERATORS: dict[str, Operator] = {
    "Add": functions.arithmetic("Add"),
    "AveragePool": windows.average_pool,
    "BatchNormalization": functions.batch_norm,
    "Cast": shapes.cast,
    "Clip": functions.clip,
    "Concat": shapes.concat,
    "Conv": windows.conv,
    "Div": functions.arithmetic("Div"),
    "Dropout": shapes.identity,
    "Elu": functions.elu,
    "Flatten": shapes.flatten,
    "Gelu": functions.gelu,
    "Gemm": windows.gemm,
    "GlobalAveragePool": windows.global_pool(layers.GlobalAveragePooling2D),
    "GlobalMaxPool": windows.global_pool(layers.GlobalMaxPooling2D),
    "HardSigmoid": functions.hard_sigmoid,
    "HardSwish": functions.activation("hard_silu"),
    "Identity": shapes.identity,
    "KerasHardSigmoid": functions.activation("hard_sigmoid", not_negative=True),
    "LayerNormalization": functions.layer_norm,
    "LeakyRelu": functions.leaky_relu,
    "MatMul": windows.matmul,
    "MaxPool": windows.max_pool,
    "Mish": functions.activation("mish"),
    "Mul": functions.arithmetic("Mul"),
    "Neg": functions.negate,
    "Pad": shapes.pad,
    "Pow": functions.power,
    "ReduceMean": windows.reduce_mean,
    "Relu": functions.activation("relu", not_negative=True),
    "Reshape": shapes.reshape,
    "Sigmoid": functions.activation("sigmoid", not_negative=True),
    "Silu": functions.activation("silu"),
    "Softmax": functions.softmax,
    "Softplus": functions.activation("softplus", not_negative=True),
    "Squeeze": shapes.squeeze,
    "Sub": functions.arithmetic("Sub"),
    "Tanh": functions.activation("tanh"),
    "Transpose": shapes.transpose,
    "Unsqueeze": shapes.unsqueeze,
}
