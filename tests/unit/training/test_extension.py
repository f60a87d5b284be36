"""More epochs after the end: a training goes on where its learning rates allow it, else it says why not and how."""

import io
import signal

import numpy as np
import pytest
from secateur.spec import LrConfig, TrainSpec
from secateur.training.checkpoints import FINISHED, Checkpoints, TrainingState
from secateur.training.extension import extension
from secateur.training.loop import Trainer, weights_among
from secateur.training.rates import RateTable, rate_of_batch

from tests.unit.training.test_checkpoints import Batches, network, send, stopped_by

CONSTANT = LrConfig(scheduler="step", gamma=1.0, learning_rate=0.02)
COSINE = LrConfig(scheduler="cosine", learning_rate=0.02)


def trainer(folder, epochs, lr_config=CONSTANT, at=None, other="a", **section):
    train_spec = TrainSpec(batch_size_per_gpu=8, num_epochs=epochs, lr_config=lr_config, **section)
    identity = {"train": {"num_epochs": epochs}, "images": other}
    said = []
    work = Trainer(
        network(),
        train_spec,
        lambda epoch: Batches(epoch, at),
        Batches(99, at),
        40,
        stream=io.StringIO(),
        checkpoints=Checkpoints(folder, "k", identity),
        on_notice=said.append,
    )
    work.said = said
    return work


def done(work):
    state = work.run()
    work.finish(state)
    return state


def assert_same(work, state, expected_work, expected):
    assert state.history == expected.history
    assert (state.best_epoch, state.best_score) == (expected.best_epoch, expected.best_score)
    for one, other in zip(state.last_weights, expected.last_weights, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(work.model.get_weights(), expected_work.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """Four epochs in one go."""
    work = trainer(tmp_path_factory.mktemp("four"), 4)
    return work, done(work)


@pytest.fixture
def two(tmp_path):
    done(trainer(tmp_path, 2))
    return tmp_path


def test_two_epochs_and_two_more_are_four(two, four):
    more = trainer(two, 4)
    state = done(more)
    assert_same(more, state, *four)
    assert more.said == ["goes on after epoch 2 of the finished training, to epoch 4"]
    assert "train  resuming after epoch 2" in more.stream.getvalue()
    assert [path.name for path in two.iterdir()] == [FINISHED]
    again = trainer(two, 4, at={(0, 0): pytest.fail})
    assert_same(again, done(again), *four)
    assert again.said == []


def test_what_goes_on_can_be_stopped_and_goes_on_again(two, four):
    stopped_by(trainer(two, 4, at={(2, 2): send(signal.SIGTERM)}))
    assert (two / FINISHED).exists(), "until there is a better result"
    rest = trainer(two, 4)
    assert_same(rest, rest.run(), *four)
    assert "resuming after epoch 2, batch" in rest.stream.getvalue()


def test_a_schedule_with_other_rates_starts_from_epoch_1_and_says_how_to_go_on(tmp_path):
    done(trainer(tmp_path, 2, COSINE))
    work = trainer(tmp_path, 3, COSINE, at={(0, 2): send(signal.SIGTERM)})
    assert "after epoch 0, batch" in stopped_by(work).message
    (words,) = work.said
    assert words.startswith(
        "starts from epoch 1, although 2 epochs are finished: train.lr_config.scheduler cosine has other learning "
        "rates for them with 3 epochs than with 2; to go on from them, stop this training"
    )
    assert "train.extend: warm_restart" in words
    assert f"warning: train  {words}" in work.stream.getvalue()
    for path in work.checkpoints.files():
        path.unlink()
    as_it_says = trainer(tmp_path, 3, COSINE, extend="warm_restart")
    assert [row["epoch"] for row in as_it_says.run().history] == [1, 2, 3]
    assert as_it_says.said[0].startswith("goes on after epoch 2")


def test_a_warm_restart_runs_the_schedule_over_the_new_epochs(tmp_path):
    before = done(trainer(tmp_path, 2, COSINE))
    stopped_by(trainer(tmp_path, 5, COSINE, at={(3, 2): send(signal.SIGTERM)}, extend="warm_restart"))
    work = trainer(tmp_path, 5, COSINE, extend="warm_restart")
    state = done(work)
    assert state.history[:2] == before.history
    assert [row["epoch"] for row in state.history] == [1, 2, 3, 4, 5]
    three = TrainSpec(num_epochs=3, lr_config=COSINE)
    expected = [rate_of_batch(three, 5 * epoch - 1, 5) for epoch in (1, 2, 3)]
    assert [row["lr"] for row in state.history[2:]] == pytest.approx(expected)
    assert state.restart == 2
    longer = extension("train", TrainSpec(num_epochs=6, lr_config=COSINE), state, 5, 5)
    assert not longer.goes_on, "a cosine over three epochs is none over four"


def test_the_optimizer_gets_the_rates_of_a_warm_restart():
    section = TrainSpec(num_epochs=5, lr_config=COSINE)
    rates = RateTable(section, 10, restart=2).rates
    np.testing.assert_array_equal(rates[20:], RateTable(TrainSpec(num_epochs=3, lr_config=COSINE), 10).rates)


def test_fewer_epochs_start_from_epoch_1_and_say_it(two):
    work = trainer(two, 1)
    assert work.run().epoch == 1
    assert work.said == [
        "starts from epoch 1, although 2 epochs are finished: train.num_epochs is 1; with 2 or more they can be used"
    ]


def test_other_images_are_another_training(two):
    work = trainer(two, 4, other="b", at={(0, 0): send(signal.SIGTERM)})
    assert "after epoch 0, batch" in stopped_by(work).message
    assert work.said == []
    assert (
        f"warning: {two / FINISHED}: its 2 epochs are not used, since other settings changed too: images: a, now b"
        in (work.stream.getvalue())
    )


def test_a_result_without_the_state_of_the_optimizer_is_of_an_older_version(two, monkeypatch):
    keeper = trainer(two, 2).checkpoints
    state = keeper.finished(io.StringIO()).state
    state.last_weights, state.variables = weights_among(network(), state.variables), []
    keeper.finish(state)
    work = trainer(two, 3, at={(0, 0): send(signal.SIGTERM)})
    assert "after epoch 0, batch" in stopped_by(work).message
    assert "trained by an older version, which did not keep the state of the optimizer" in work.said[0]
    again = trainer(two, 2, at={(0, 0): pytest.fail})
    assert again.checkpoints.finished(io.StringIO()).epochs is None


@pytest.mark.parametrize(
    ("lr_config", "goes_on"),
    [
        ({"scheduler": "step", "gamma": 1.0}, True),
        ({"scheduler": "step", "step_size": 100}, True),
        ({"scheduler": "step", "step_size": 10}, False),
        ({"scheduler": "cosine", "min_lr_ratio": 1.0}, True),
        ({"scheduler": "cosine"}, False),
        ({"scheduler": "soft_anneal", "soft_start": 0.0, "annealing_points": []}, True),
        ({"scheduler": "soft_anneal"}, False),
        ({"scheduler": "step", "gamma": 1.0, "compat": "tao"}, True),
    ],
    ids=str,
)
def test_rates_decide(lr_config, goes_on):
    section = TrainSpec(num_epochs=20, lr_config=lr_config, optim_config={"decay": 0.1})
    finished = TrainingState(epoch=10, variables=[np.ones(1)])
    assert extension("train", section, finished, 10, 7).goes_on is goes_on
    restarted = section.model_copy(update={"extend": "warm_restart"})
    found = extension("retrain", restarted, finished, 10, 7)
    assert (found.goes_on, found.restart) == (True, 10)
    assert found.words.endswith("the schedule runs again from epoch 11 on")
