"""Which programs of devices take an exported ONNX file, from the operators in it.

`bench/ship/runtimes.py` measures it with a network of each layer and with every backbone; the tables here are what it
found (bench/results/runtimes.json), and a test holds them against it. TensorRT's is the
table of operators of onnx-tensorrt.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

# Program -> the features of a file that it cannot take, in the words of export/onnx_features.py.
CANNOT: dict[str, frozenset[str]] = {
    "OpenCV 4.6 (Debian 12)": frozenset(
        (
            "Clip",
            "ConvTranspose with dilation",
            "ConvTranspose with uneven pads",
            "DequantizeLinear",
            "Gather",
            "Gemm with a matrix that is not transposed",
            "Mean",
            "PRelu with a slope for each position",
            "ReduceMean",
            "half precision",
        )
    ),
    "OpenCV 4.14": frozenset(
        (
            "ConvTranspose with dilation",
            "ConvTranspose with uneven pads",
            "PRelu with a slope for each position",
        )
    ),
    "OpenCV 5.0": frozenset(
        (
            "Conv of 1x1 with pads",
            "DequantizeLinear",
            "Mul with a map of one channel",
            "PRelu with a slope for each position",
        )
    ),
    "ONNX Runtime 1.9": frozenset(("operator set above 15",)),
    "ncnn (pnnx)": frozenset(
        (
            "AveragePool with uneven pads",
            "Cast",
            "ConvTranspose with uneven pads",
            "DequantizeLinear",
            "InstanceNormalization",
            "Mean",
            "PRelu with a slope for each position",
            "Pad",
            "half precision",
        )
    ),
    "TensorRT 8.4": frozenset(("QuantizeLinear with a zero point", "an input of integers", "operator set above 13")),
}
# Operators that were tried in every program.
TRIED = frozenset(
    "Add AveragePool Cast Clip Concat Conv ConvTranspose DequantizeLinear Div Elu Erf Flatten Gather Gemm "
    "GlobalAveragePool GlobalMaxPool HardSigmoid InstanceNormalization LeakyRelu MatMul Max MaxPool Mean Min Mul PRelu "
    "Pad QuantizeLinear ReduceMean Relu Reshape Resize Sigmoid Slice Softmax Softplus Sqrt Sub Tanh Transpose".split()
)
ONNX_FORMS = ("onnxruntime", "tensorrt")


def reasons(program: str, features: Collection[str]) -> list[str]:
    """What in a file a program cannot take; empty if it takes all of it."""
    return sorted(CANNOT[program].intersection(features))


def programs_in_words(parities: Sequence[Mapping[str, Any]]) -> str:
    """A line for each ONNX file: which programs take it, and which do not and why; empty without such files."""
    rows = [_line(parity) for parity in parities if parity["form"] in ONNX_FORMS and parity.get("features")]
    if not rows:
        return ""
    return "\n".join([*rows, "* This is by the operators in the file: measure the answers on your device too.\n"])


def _line(parity: Mapping[str, Any]) -> str:
    found = {program: reasons(program, parity["features"]) for program in CANNOT}
    takes = [program for program, why in found.items() if not why]
    without = [f"{program}: {', '.join(why)}" for program, why in found.items() if why]
    words = f"* `{parity['file']}` suits {', '.join(takes) or 'none of the programs that were tried'}."
    if without:
        words += f" It does not suit {'; '.join(without)}."
    untried = [name for name in parity["features"] if " " not in name and name not in TRIED]
    return f"{words} Operators that were not tried: {', '.join(untried)}." if untried else words
