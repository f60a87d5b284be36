"""Learning rates against values of TAO's, and the choices of docs/decisions/learning-rate-schedules.md."""

import math

import pytest
from secateur.spec import LrConfig, OptimConfig, TrainSpec
from secateur.training.rates import rate_of_batch
from secateur.training.schedules import learning_rate

COSINE = LrConfig(scheduler="cosine", learning_rate=0.05, min_lr_ratio=3e-5, soft_start=0.05)
ANNEAL = LrConfig(
    scheduler="soft_anneal",
    learning_rate=0.05,
    soft_start=0.056,
    annealing_points=[0.3, 0.6, 0.8],
    annealing_divider=10,
)
STEP = LrConfig(scheduler="step", learning_rate=0.006, gamma=0.1, step_size=10)


@pytest.mark.parametrize(("progress", "rate"), [(0, 1.5e-6), (0.025, 0.02500075), (0.05, 0.05), (1, 1.5e-6)])
def test_cosine_reference_values(progress, rate):
    assert learning_rate(COSINE, progress) == pytest.approx(rate, rel=1e-9)


def test_cosine_is_halfway_in_the_middle_of_its_fall():
    assert learning_rate(COSINE, 0.05 + 0.95 / 2) == pytest.approx((0.05 + 1.5e-6) / 2, rel=1e-9)


def test_cosine_without_warm_up_starts_at_the_base():
    assert learning_rate(LrConfig(soft_start=0, learning_rate=0.1), 0) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("progress", "rate"),
    [(0, 3e-4), (0.028, 0.02515), (0.056, 0.05), (0.3, 0.05), (0.31, 0.005), (0.61, 5e-4), (0.81, 5e-5), (1, 5e-5)],
)
def test_soft_anneal_reference_values(progress, rate):
    assert learning_rate(ANNEAL, progress) == pytest.approx(rate, rel=1e-9)


def test_soft_anneal_never_warms_down():
    small = ANNEAL.model_copy(update={"learning_rate": 1e-4})
    assert learning_rate(small, 0) == learning_rate(small, 0.05) == 1e-4


@pytest.mark.parametrize(
    ("progress", "drops"), [(0, 0), (0.05, 0), (0.1, 1), (0.15, 1), (0.3, 3), (0.7, 7), (0.999, 9)]
)
def test_step_is_a_staircase(progress, drops):
    assert learning_rate(STEP, progress) == pytest.approx(0.006 * 0.1**drops, rel=1e-9)


def test_step_drops_exactly_at_whole_percentages():
    rates = {round(learning_rate(STEP, batch / 1000), 15) for batch in range(1000)}
    assert len(rates) == 10
    for tenth in range(1, 10):
        assert learning_rate(STEP, tenth * 100 / 1000) < learning_rate(STEP, (tenth * 100 - 1) / 1000)


@pytest.mark.parametrize("config", [COSINE, ANNEAL, STEP])
def test_base_rate_grows_with_devices(config):
    assert learning_rate(config, 0.2, devices=4) == pytest.approx(4 * learning_rate(config, 0.2))


@pytest.mark.parametrize("progress", [-0.01, 1.01, math.nan])
def test_progress_outside_is_refused(progress):
    with pytest.raises(ValueError, match="progress"):
        learning_rate(COSINE, progress)


def of_tao(config):
    return config.model_copy(update={"compat": "tao"})


@pytest.mark.parametrize(
    ("progress", "rate"),
    [(0.05, 0.05), (0.25, 0.0452255681), (0.5, 0.0289114943), (0.75, 0.0103065595), (1, 3.09282251e-4)],
)
def test_tao_does_not_count_the_warm_up_of_cosine(progress, rate):
    assert learning_rate(of_tao(COSINE), progress) == pytest.approx(rate, rel=1e-8)


@pytest.mark.parametrize(("batch", "rate"), [(50, 0.00189737), (100, 6e-4), (150, 1.89737e-4), (1000, 6e-13)])
def test_step_of_tao_falls_at_each_batch(batch, rate):
    assert learning_rate(of_tao(STEP), batch / 1000) == pytest.approx(rate, rel=1e-5)


def test_soft_anneal_of_tao_starts_above_a_small_base():
    small = LrConfig(scheduler="soft_anneal", learning_rate=1e-4, soft_start=0.1)
    assert learning_rate(small, 0) == pytest.approx(1e-4)
    assert learning_rate(of_tao(small), 0) == pytest.approx(3e-4)


def test_decay_acts_only_as_in_tao():
    section = TrainSpec(num_epochs=2, optim_config=OptimConfig(decay=1e-3))
    documented = rate_of_batch(section, 1000, 1000)
    compatible = section.model_copy(update={"lr_config": of_tao(section.lr_config)})
    plain = compatible.model_copy(update={"optim_config": OptimConfig(decay=0)})
    assert documented == pytest.approx(learning_rate(section.lr_config, 0.5))
    assert rate_of_batch(compatible, 1000, 1000) == pytest.approx(rate_of_batch(plain, 1000, 1000) / 2)


def test_a_warm_up_of_the_whole_training_ends_at_the_base():
    assert learning_rate(LrConfig(soft_start=1.0, learning_rate=0.1), 1) == pytest.approx(0.1)
