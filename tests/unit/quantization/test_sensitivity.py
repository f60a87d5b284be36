"""Layers that int8 hurts are found by measuring, and only they stay in float."""

import numpy as np
import pytest
from secateur.errors import ModelError
from secateur.keras_to_onnx.writer import to_onnx
from secateur.quantization.calibration import measured_ranges
from secateur.quantization.placement import Network
from secateur.quantization.ranges import Ranges
from secateur.quantization.sensitivity import choose_float_layers, unit_of_nodes

from tests.onnx_files import run_onnx
from tests.unit.quantization.networks import images, network


@pytest.fixture(scope="module")
def case():
    proto, pixels = to_onnx(network()), images(64)
    fed = [part.transpose(0, 3, 1, 2) for part in np.split(pixels, 2)]
    labels = run_onnx(proto.SerializeToString(), pixels).argmax(axis=1)
    return proto, fed, labels, measured_ranges(proto, fed, "minmax")


def test_nothing_is_left_out_where_int8_is_good_enough(case):
    proto, fed, labels, ranges = case
    found = choose_float_layers(proto, ranges, fed, labels, max_drop=0.2)
    assert found.names == ()
    assert found.fp32 == 1


def test_the_layer_with_a_wrong_range_is_found(case):
    proto, fed, labels, ranges = case
    wrong = Ranges({**ranges.of, "block_2a_act_1:0": (0.0, 1e5)}, symmetric=False)
    found = choose_float_layers(proto, wrong, fed, labels, max_drop=0.05)
    assert found.fp32 - found.all_int8 > 0.05
    assert found.fp32 - found.accuracy <= 0.05
    # The tensor is made by one of them and read by the other; both quantise it.
    assert {"block_2a_conv_1:0", "block_2a_conv_2:0"} >= set(found.names[:2])
    assert len(found.names) <= 4
    assert set(found.harm) == {node.name for node in Network(proto).weighted()}


def test_what_cannot_be_met_is_said(case):
    proto, fed, labels, ranges = case
    with pytest.raises(ModelError, match=r"loses more than export\.int8_max_drop -1"):
        choose_float_layers(proto, ranges, fed, labels, max_drop=-1.0)


def test_nodes_belong_to_the_layer_before_them():
    proto = to_onnx(network("efficientnet-b0"))
    units = unit_of_nodes(Network(proto))
    assert units["stem_activation_gate:0"] == units["stem_activation:0"] == "stem_conv:0"
    assert units["block2b_add:0"] == "block2b_project_conv:0"
