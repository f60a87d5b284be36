"""Several cuts with training between them: one budget, one report, and going on after a stop."""

import keras
import numpy as np
import pytest
from secateur.models.cost import cost_of
from secateur.pruning import prune
from secateur.pruning.stepwise import Stepwise
from secateur.spec import ModelSpec, PruneSpec
from secateur.zoo import build


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return build(ModelSpec(arch="resnet_10", use_batch_norm=True, input_image_size="3,32,32"), 5)


SPEC = PruneSpec(target_macs=0.3, steps=3, importance="random", granularity=2, min_num_filters=2)


def untrained(narrow, step):
    """Stands for a short training that changes nothing, so that the last weights can be told."""
    return narrow


def test_three_cuts_divide_the_cost_by_equal_factors(model):
    seen = []

    def train(narrow, step):
        seen.append((step, cost_of(narrow).macs / cost_of(model).macs))
        return narrow

    narrow, report = Stepwise(model, SPEC, None, train).run()
    assert [step for step, _ in seen] == [1, 2]
    assert [share for _, share in seen] == pytest.approx([0.3 ** (1 / 3), 0.3 ** (2 / 3)], rel=0.06)
    assert 0.27 < cost_of(narrow).macs / cost_of(model).macs <= 0.3
    assert report.before == cost_of(model)
    assert report.reached.before == cost_of(model).macs
    assert report.threshold is None


def test_the_report_counts_in_the_filters_of_the_first_model(model):
    narrow, report = Stepwise(model, SPEC, None, untrained).run()
    kept = report.kept
    old, new = model.get_layer("block_3a_conv_1").get_weights()[0], narrow.get_layer("block_3a_conv_1").get_weights()[0]
    expected = np.take(np.take(old, kept["block_2a_conv_2"], axis=2), kept["block_3a_conv_1"], axis=3)
    np.testing.assert_array_equal(new, expected)
    by_group = {group.members: group for group in report.groups}
    assert list(by_group[("block_3a_conv_1",)].kept) == kept["block_3a_conv_1"]
    assert by_group[("conv1",)].total == 64


class StoppedError(Exception):
    pass


def test_it_goes_on_where_it_stopped(model, tmp_path):
    seen = []

    def train(narrow, step):
        seen.append(step)
        if seen == [1, 2]:
            raise StoppedError
        return narrow

    whole, expected = Stepwise(model, SPEC, None, untrained).run()
    with pytest.raises(StoppedError):
        Stepwise(model, SPEC, None, train, tmp_path, "key", {"spec": "a"}).run()
    assert [path.name for path in tmp_path.iterdir()] == ["step_001.tlt"]
    steps = Stepwise(model, SPEC, None, train, tmp_path, "key", {"spec": "a"})
    narrow, report = steps.run()
    assert seen == [1, 2, 2], "the first cut is not made again"
    assert report == expected
    assert all(np.array_equal(a, b) for a, b in zip(narrow.get_weights(), whole.get_weights(), strict=True))
    steps.forget()
    assert not list(tmp_path.iterdir())


def test_another_spec_starts_again(model, tmp_path):
    seen = []

    def train(narrow, step):
        seen.append(step)
        return narrow

    Stepwise(model, SPEC, None, train, tmp_path, "key", {"spec": "a"}).run()
    Stepwise(model, SPEC, None, train, tmp_path, "key", {"spec": "b"}).run()
    assert seen == [1, 2, 1, 2]


def test_each_cut_judges_the_network_that_the_cut_before_left(model):
    """By hand: the second cut reads fewer inputs, so that other filters are the weakest."""
    loose = {"importance": "l1", "granularity": 1, "min_num_filters": 2}
    spec = PruneSpec(target_macs=0.3, steps=2, step_epochs=0, **loose)
    narrow, report = Stepwise(model, spec, None, untrained).run()
    half, first = prune(model, PruneSpec(target_macs=0.3**0.5, **loose))
    expected, second = prune(half, PruneSpec(target_macs=0.3 * cost_of(model).macs, **loose))
    assert all(np.array_equal(a, b) for a, b in zip(narrow.get_weights(), expected.get_weights(), strict=True))
    chosen = first.kept["block_3a_conv_1"]
    assert report.kept["block_3a_conv_1"] == [chosen[index] for index in second.kept["block_3a_conv_1"]]
    assert report.kept != prune(model, PruneSpec(target_macs=0.3, **loose))[1].kept


def test_one_step_is_prune(model):
    spec = SPEC.model_copy(update={"steps": 1})
    assert Stepwise(model, spec, None, untrained).run()[1].kept == prune(model, spec)[1].kept
