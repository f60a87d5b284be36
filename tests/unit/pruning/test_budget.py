"""Budgets: what the cut meets, what it says when it cannot, and what is measured."""

import keras
import numpy as np
import pytest
from keras import layers
from secateur.errors import SpecError
from secateur.keras_to_onnx.writer import to_onnx
from secateur.models.cost import cost_of
from secateur.pruning import prune
from secateur.pruning.budget import MEGABYTE
from secateur.pruning.plan import Plan
from secateur.pruning.surgery import Cut, CutCost, rebuild
from secateur.spec import ModelSpec, PruneSpec
from secateur.zoo import build


@pytest.fixture(scope="module")
def resnet():
    keras.utils.set_random_seed(0)
    return build(ModelSpec(arch="resnet_18", use_batch_norm=True, input_image_size="3,32,32"), 5)


@pytest.mark.parametrize("ranking", ["layer", "global", "uniform"])
@pytest.mark.parametrize("importance", ["l2", "bn_scale", "random"])
@pytest.mark.parametrize(("key", "share"), [("target_macs", 0.5), ("target_macs", 0.2), ("target_params", 0.3)])
def test_counted_budgets_are_met_closely(resnet, key, share, importance, ranking):
    spec = PruneSpec(**{key: share}, importance=importance, ranking=ranking, granularity=4, min_num_filters=4)
    narrow, report = prune(resnet, spec)
    cost = cost_of(narrow)
    reached = getattr(cost, key.removeprefix("target_")) / getattr(report.before, key.removeprefix("target_"))
    assert share * 0.9 < reached <= share
    assert report.reached.value == getattr(cost, key.removeprefix("target_"))
    assert all(len(group.kept) % 4 == 0 for group in report.groups if not group.kept_whole_because)


def test_numbers_above_one_are_absolute(resnet):
    _, report = prune(resnet, PruneSpec(target_params=2_000_000))
    assert 1_800_000 < report.after.params <= 2_000_000
    _, report = prune(resnet, PruneSpec(target_macs=cost_of(resnet).macs // 2))
    assert 0.45 < report.after.macs / report.before.macs <= 0.5


def test_a_budget_that_is_met_already_removes_nothing(resnet):
    narrow, report = prune(resnet, PruneSpec(target_macs=1.0))
    assert report.after == report.before
    assert narrow.count_params() == resnet.count_params()


def test_an_impossible_budget_says_what_is_the_least_possible(resnet):
    least = cost_of(prune(resnet, PruneSpec(threshold=2.0))[0])
    with pytest.raises(SpecError, match="cannot be met: the least possible value is") as error:
        prune(resnet, PruneSpec(target_macs=0.0001))
    assert f"{least.macs:,} MACs" in str(error.value)
    assert "min_num_filters 16 and granularity 8" in str(error.value)
    _, report = prune(resnet, PruneSpec(target_macs=float(least.macs)))
    assert report.after.macs == least.macs


def test_size_is_that_of_the_exported_file(resnet):
    narrow, report = prune(resnet, PruneSpec(target_size_mb=10))
    size = len(to_onnx(narrow).SerializeToString()) / MEGABYTE
    assert report.reached.value == pytest.approx(size, rel=1e-3)
    assert 9.5 < size <= 10
    with pytest.raises(SpecError, match=r"least possible value is .* MB"):
        prune(resnet, PruneSpec(target_size_mb=0.001))


def test_latency_is_measured_and_met(resnet):
    _, loose = prune(resnet, PruneSpec(target_latency_ms=10_000))
    assert loose.after == loose.before
    now = loose.reached.before
    _, report = prune(resnet, PruneSpec(target_latency_ms=now / 2, latency_threads=1, latency_batch=1))
    assert report.reached.value <= now / 2
    assert report.after.macs < report.before.macs
    with pytest.raises(SpecError, match=r"least possible value is .* ms"):
        prune(resnet, PruneSpec(target_latency_ms=1e-6))


@pytest.mark.parametrize("arch", ["resnet_10", "efficientnet-b0", "mobilenet_v2", "googlenet"])
def test_the_cost_of_a_cut_is_known_before_it_is_made(arch):
    options = {} if arch.startswith("eff") else {"use_batch_norm": True}
    model = build(ModelSpec(arch=arch, input_image_size="3,64,64", **options), 5)
    plan = Plan(model, PruneSpec(threshold=0.5, importance="random", granularity=1, min_num_filters=1))
    for threshold in (-1.0, 0.3, 0.8):
        assert plan.cost(threshold) == cost_of(plan.pruned(threshold))
    everything = CutCost(model, plan.graph).after(Cut(plan.graph, []))
    assert everything == cost_of(model) == cost_of(rebuild(model, Cut(plan.graph, [])))


def deep(depth):
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same")(x)
    for index in range(depth):
        own = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 1)(x)))
        x = layers.Add()([x, own]) if index % 2 else own
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def test_a_thousand_layers():
    model = deep(300)
    assert len(model.layers) > 1000
    _, report = prune(model, PruneSpec(target_macs=0.5, importance="random", granularity=1, min_num_filters=1))
    assert 0.4 < report.after.macs / report.before.macs <= 0.5


def test_excluded_layers_take_patterns(resnet):
    _, report = prune(resnet, PruneSpec(target_macs=0.5, excluded_layers=["block_1*_conv_1", "conv1"]))
    assert len(report.kept["block_1a_conv_1"]) == len(report.kept["block_1b_conv_1"]) == 64
    assert len(report.kept["conv1"]) == 64
    with pytest.raises(SpecError, match=r"no layer 'blok_\*'"):
        prune(resnet, PruneSpec(excluded_layers=["blok_*"]))


def test_random_is_the_seeds(resnet):
    kept = [
        prune(resnet, PruneSpec(target_macs=0.5, importance="random", random_seed=seed))[1].kept for seed in (1, 1, 2)
    ]
    assert kept[0] == kept[1] != kept[2]
    assert np.mean([len(group) for group in kept[0].values()]) > 16
