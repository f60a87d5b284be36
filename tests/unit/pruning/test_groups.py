"""Counts and choices by hand (docs/decisions/pruning-counts.md)."""

import numpy as np
import pytest
from secateur.pruning.groups import kept_channels, kept_count
from secateur.pruning.importance import merged, normalized
from secateur.spec import PruneSpec


def spec(granularity=1, minimum=1):
    return PruneSpec(threshold=0.5, granularity=granularity, min_num_filters=minimum)


def above(count, total):
    return np.array([1.0] * count + [0.1] * (total - count))


def test_the_threshold_is_strict():
    assert kept_channels(np.array([1, 0.9, 0.5, 0.1]), spec(), 0.5).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("count", "total", "granularity", "minimum", "kept"),
    [(17, 20, 8, 1, 20), (9, 20, 8, 1, 16), (0, 8, 1, 16, 8), (3, 32, 8, 10, 16), (0, 64, 8, 16, 16), (8, 64, 8, 1, 8)],
)
def test_counts(count, total, granularity, minimum, kept):
    assert kept_count(above(count, total), spec(granularity, minimum), 0.5) == kept


def test_order_is_preserved_and_ties_go_to_the_first():
    assert kept_channels(np.array([0.2, 0.9, 0.2, 0.8, 0.2]), spec(3), 0.85).tolist() == [0, 1, 3]


def test_a_layer_of_zeros_keeps_the_minimum():
    assert kept_channels(normalized(np.zeros(32), "max"), spec(minimum=4), 0.5).tolist() == [0, 1, 2, 3]


def test_normalizers():
    assert normalized(np.array([2.0, 4.0]), "max").tolist() == [0.5, 1]
    assert normalized(np.full(9, 7.0), "L2") == pytest.approx(np.full(9, 3.0))


def test_criteria():
    one, other = np.array([1, 0.2]), np.array([0.2, 1])
    assert (merged([one, other], "union") > 0.5).tolist() == [True, True]
    assert not (merged([one, other], "intersection") > 0.5).any()
    assert merged([one, other], "arithmetic_mean") == pytest.approx([0.6, 0.6])
    assert merged([one, other], "geometric_mean") == pytest.approx([0.2**0.5] * 2)
    assert merged([np.array([0.0]), np.array([1.0])], "geometric_mean").tolist() == [0]
