"""What the model card says of other programs: held against the measured figures of bench/ship/runtimes.py."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from secateur.export.bundle.programs import CANNOT, TRIED, programs_in_words, reasons
from secateur.export.onnx_features import features_of

DOCUMENTED = {"TensorRT 8.4"}
MEASURED = sorted(set(CANNOT) - DOCUMENTED)


@pytest.fixture(scope="module")
def cases(repository):
    """Name of each network -> what was measured with it."""
    report = json.loads((repository / "bench/results/runtimes.json").read_text())
    return {f"{kind} {name}": case for kind, found in report.items() for name, case in found.items()}


@pytest.mark.parametrize("program", MEASURED)
def test_the_table_is_what_was_measured(cases, program):
    failed = [case["features"] for case in cases.values() if not case["programs"][program]["takes"]]
    silent = [
        name
        for name, case in cases.items()
        if not case["programs"][program]["takes"] and not reasons(program, case["features"])
    ]
    assert not silent, "the card would promise what does not work"
    needless = [feature for feature in CANNOT[program] if not any(feature in features for features in failed)]
    assert not needless


def test_every_backbone_suits_every_program_that_was_measured(cases, repository):
    backbones = [case for name, case in cases.items() if name.startswith("backbones ")]
    assert len(backbones) > 20
    assert all(not reasons(program, case["features"]) for case in backbones for program in CANNOT)
    assert all(case["programs"][program]["takes"] for case in backbones for program in MEASURED)


def test_what_was_tried_is_what_was_measured(cases):
    assert {name for case in cases.values() for name in case["features"] if " " not in name} == TRIED


def network(nodes, constants=(), opset=13, kind=TensorProto.FLOAT):
    given = helper.make_tensor_value_info("x", kind, ["batch", 3, 8, 8])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [given], [made], list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]).SerializeToString()


def constant(name, values, kind=np.float32):
    return numpy_helper.from_array(np.asarray(values, kind), name)


def node(op, *inputs, **options):
    return helper.make_node(op, list(inputs), ["y"], **options)


FORMS = {
    "half precision": network([node("Relu", "x")], [constant("c", [1], np.float16)]),
    "an input of integers": network([node("Cast", "x", to=1)], kind=TensorProto.UINT8),
    "operator set above 13": network([node("Relu", "x")], opset=14),
    "operator set above 15": network([node("Relu", "x")], opset=16),
    "Gemm with a matrix that is not transposed": network([node("Gemm", "x", "c")], [constant("c", [[1]])]),
    "Conv of 1x1 with pads": network([node("Conv", "x", "c", kernel_shape=[1, 1], pads=[0, 0, 1, 1])]),
    "ConvTranspose with uneven pads": network([node("ConvTranspose", "x", "c", pads=[0, 0, 1, 1])]),
    "ConvTranspose with dilation": network([node("ConvTranspose", "x", "c", dilations=[2, 2])]),
    "AveragePool with uneven pads": network([node("AveragePool", "x", kernel_shape=[2, 2], pads=[0, 0, 1, 0])]),
    "PRelu with a slope for each position": network([node("PRelu", "x", "c")], [constant("c", np.ones((3, 8, 8)))]),
    "QuantizeLinear with a zero point": network(
        [node("QuantizeLinear", "x", "s", "z")], [constant("s", 1), constant("z", 128, np.uint8)]
    ),
    "Mul with a map of one channel": network(
        [
            helper.make_node("Conv", ["x", "c"], ["m"]),
            helper.make_node("Sigmoid", ["m"], ["s"]),
            node("Mul", "x", "s"),
        ],
        [constant("c", np.ones((1, 3, 1, 1)))],
    ),
}


def test_every_form_in_a_table_is_recognised():
    forms = {feature for features in CANNOT.values() for feature in features if " " in feature}
    assert forms == set(FORMS)
    for form, content in FORMS.items():
        assert form in features_of(content)


@pytest.mark.parametrize(
    "content",
    [
        network([node("Gemm", "x", "c", transB=1)], [constant("c", [[1]])]),
        network([node("ConvTranspose", "x", "c", pads=[1, 1, 1, 1], dilations=[1, 1])]),
        network([node("PRelu", "x", "c")], [constant("c", np.ones((3, 1, 1)))]),
        network([node("PRelu", "x", "unknown")]),
        network([node("QuantizeLinear", "x", "s", "z")], [constant("s", 1), constant("z", 0, np.int8)]),
        network([node("QuantizeLinear", "x", "s")], [constant("s", 1)]),
        network([node("Mul", "x", "x")]),
    ],
)
def test_plain_forms_have_no_remark(content):
    assert not [feature for feature in features_of(content) if " " in feature]


def said(features, form="onnxruntime"):
    return programs_in_words([{"file": "m.onnx", "form": form, "features": features}])


def test_the_line_of_the_card():
    assert said(["Conv", "Gemm"]).splitlines()[0] == f"* `m.onnx` suits {', '.join(CANNOT)}."
    clipped = said(["Clip", "Conv", "half precision"])
    assert "It does not suit OpenCV 4.6 (Debian 12): Clip, half precision; ncnn (pnnx): half precision." in clipped
    assert "suits OpenCV 4.14, OpenCV 5.0, ONNX Runtime 1.9, TensorRT 8.4." in clipped
    assert "Operators that were not tried: MatMul2." in said(["Conv", "MatMul2"])


def test_files_that_are_no_onnx_and_figures_of_earlier_exports_have_no_line():
    assert said(["Conv"], form="tflite") == ""
    assert programs_in_words([{"file": "m.onnx", "form": "onnxruntime"}]) == ""
