"""A training that is stopped anywhere ends as one that was not: same history, same weights, to the bit."""

import io
import os
import signal

import keras
import numpy as np
import pytest
from keras import layers
from secateur.errors import DamagedError, InterruptedRunError, ModelError, VaultError, WrongKeyError
from secateur.quantization.aware import FakeQuantize, quantisation_aware
from secateur.runtime import signals
from secateur.runtime.signals import STOP_SIGNALS
from secateur.spec import TrainSpec
from secateur.training import checkpoints
from secateur.training.checkpoints import Checkpoints, TrainingState
from secateur.training.loop import Trainer
from secateur.training.overrides import configured

SECTION = TrainSpec(batch_size_per_gpu=8, num_epochs=3, lr_config={"learning_rate": 0.02})


class Batches(keras.utils.PyDataset):
    """Five batches of learnable noise; `at` maps (epoch, batch) to what happens when it is read."""

    def __init__(self, epoch, at=None):
        super().__init__()
        rng = np.random.default_rng(0)
        labels = np.arange(40) % 2
        images = rng.normal(labels[:, None, None, None], 1.5, (40, 16, 16, 1)).astype("float32")
        order = np.random.default_rng(epoch).permutation(40)
        self.images, self.labels = images[order], np.eye(2, dtype="float32")[labels[order]]
        self.epoch, self.at = epoch, at or {}

    def __len__(self):
        return 5

    def __getitem__(self, index):
        if (self.epoch, index) in self.at:
            self.at[self.epoch, index]()
        chosen = slice(index * 8, index * 8 + 8)
        return self.images[chosen], self.labels[chosen]


def network(qat=False):
    """With dropout and batch normalisation: random state and moving statistics count."""
    keras.utils.set_random_seed(1)
    image = keras.Input((16, 16, 1))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, strides=2, use_bias=False)(image)))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(32, 3, use_bias=False)(x)))
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x))
    model = configured(keras.Model(image, layers.Dense(2, activation="softmax")(x)), SECTION)
    return quantisation_aware(model) if qat else model


def trainer(folder=None, at=None, section=SECTION, stream=None):
    checkpoints = Checkpoints(folder, "k") if folder else None
    return Trainer(
        network(section.qat),
        section,
        lambda epoch: Batches(epoch, at),
        Batches(99, at),
        40,
        stream=stream or io.StringIO(),
        checkpoints=checkpoints,
    )


@pytest.fixture(scope="module")
def whole():
    work = trainer()
    state = work.run()
    return state, work.model.get_weights()


def assert_same(work, state, whole):
    expected, weights = whole
    assert state.history == expected.history
    assert state.best_epoch == expected.best_epoch
    for one, other in zip(state.last_weights, expected.last_weights, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(work.model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


def send(number):
    """Once: Keras reads the first batches twice, to know their shapes."""
    left = [number]
    return lambda: os.kill(os.getpid(), left.pop()) if left else None


def stopped(folder, at):
    return stopped_by(trainer(folder, at))


def stopped_by(work):
    with pytest.raises(InterruptedRunError) as error:
        work.run()
    return error.value


@pytest.mark.parametrize("place", [(0, 0), (1, 2), (2, 4), (99, 0), (99, 4)], ids=str)
def test_a_signal_anywhere_and_the_rest_later(tmp_path, whole, place):
    """99 is the validation, after the first epoch."""
    error = stopped(tmp_path, {place: send(signal.SIGTERM)})
    assert error.exit_code == 75
    assert "train was stopped by SIGTERM after epoch" in error.message
    stream = io.StringIO()
    work = trainer(tmp_path, stream=stream)
    assert_same(work, work.run(), whole)
    assert "train  resuming after epoch" in stream.getvalue()


def test_ranges_of_activations_go_on_too(tmp_path):
    """Quantisation-aware training has its own state: the largest value of each activation so far."""
    section = SECTION.model_copy(update={"qat": True})
    expected, stopped_once = trainer(section=section), trainer(tmp_path, {(1, 2): send(signal.SIGTERM)}, section)
    whole = expected.run()
    with pytest.raises(InterruptedRunError):
        stopped_once.run()
    again = trainer(tmp_path, section=section)
    assert_same(again, again.run(), (whole, expected.model.get_weights()))
    ranges = [layer for layer in again.model.layers if isinstance(layer, FakeQuantize)]
    assert len({float(np.asarray(layer.largest)) for layer in ranges}) > len(ranges) / 2


def test_stopped_again_and_again(tmp_path, whole):
    for place in ((0, 1), (1, 0), (1, 4), (99, 2), (2, 3)):
        stopped(tmp_path, {place: send(signal.SIGUSR2)})
    work = trainer(tmp_path)
    assert_same(work, work.run(), whole)


def test_a_checkpoint_after_each_batch_changes_nothing(tmp_path, whole):
    written = []
    work = trainer(tmp_path, section=SECTION.model_copy(update={"checkpoint_minutes": 1e-9}))
    write = work.checkpoints.write
    work.checkpoints.write = lambda variables, state: (
        written.append((state.epoch, state.batch)),
        write(variables, state),
    )
    assert_same(work, work.run(), whole)
    expected = [(epoch, batch) for epoch in range(3) for batch in range(1, 5)] + [(epoch, 0) for epoch in (1, 2, 3)]
    assert sorted(written) == sorted(expected)
    assert len(work.checkpoints.files()) == 2


def test_handlers_are_as_before_afterwards(tmp_path):
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    stopped(tmp_path, {(0, 1): send(signal.SIGINT)})
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


def test_a_second_ctrl_c_leaves_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(signals, "TWICE_S", 0)

    def stubborn():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    work = trainer(tmp_path)
    work.on_epoch = lambda row, seconds: stubborn()
    with pytest.raises(KeyboardInterrupt):
        work.run()
    assert not work.checkpoints.files()


def test_a_ctrl_c_that_arrives_twice_is_one(tmp_path):
    """A program that passes signals on sends it too."""

    def doubled(*ignored):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)

    work = trainer(tmp_path)
    work.on_epoch = doubled
    with pytest.raises(InterruptedRunError, match="stopped by SIGINT after epoch 1"):
        work.run()
    assert work.checkpoints.files()


def two_checkpoints(folder):
    stopped(folder, {(1, 2): send(signal.SIGTERM)})
    return Checkpoints(folder, "k").files()


@pytest.mark.parametrize("damage", ["salt", "body", "half", "empty"])
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(tmp_path, whole, damage):
    newest, older = two_checkpoints(tmp_path)
    content = bytearray(newest.read_bytes())
    if damage in ("salt", "body"):
        content[40 if damage == "salt" else len(content) // 2] ^= 1
    newest.write_bytes({"half": content[: len(content) // 2], "empty": b""}.get(damage, content))
    stream = io.StringIO()
    work = trainer(tmp_path, stream=stream)
    assert_same(work, work.run(), whole)
    assert f"warning: {newest}" in stream.getvalue()
    assert f"resuming from the checkpoint before, {older.name}" in stream.getvalue()


def test_all_damaged_says_how_to_start_again(tmp_path):
    for path in two_checkpoints(tmp_path):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Exception, match=r"cut short|damaged") as error:
        trainer(tmp_path).run()
    assert error.value.hint == f"delete {tmp_path} to start again"
    assert error.value.exit_code == 4


@pytest.mark.parametrize("damage", ["byte", "half", "empty"])
def test_damage_is_noticed_without_a_key_too(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path, None)
    checkpoints.write([keras.Variable(np.arange(4.0))], TrainingState())
    (path,) = checkpoints.files()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"half": content[: len(content) // 2], "empty": b""}.get(damage, content))
    with pytest.raises(DamagedError) as error:
        checkpoints.read([keras.Variable(np.zeros(4))], io.StringIO())
    assert error.value.hint == f"delete {tmp_path} to start again"


def test_an_encrypted_checkpoint_needs_its_key(tmp_path):
    Checkpoints(tmp_path, "k").write([keras.Variable(np.arange(4.0))], TrainingState())
    with pytest.raises(VaultError, match="is encrypted, and the spec has no key"):
        Checkpoints(tmp_path, None).read([keras.Variable(np.zeros(4))], io.StringIO())


def test_another_key_is_no_damage(tmp_path):
    two_checkpoints(tmp_path)
    work = trainer(tmp_path)
    work.checkpoints.key = "other"
    with pytest.raises(WrongKeyError, match="wrong key"):
        work.run()


def test_a_loss_that_is_no_number_keeps_the_last_good_checkpoint(tmp_path, whole):
    stopped(tmp_path, {(1, 2): send(signal.SIGTERM)})
    before = [path.read_bytes() for path in Checkpoints(tmp_path, "k").files()]
    work = trainer(tmp_path, {})
    batches = work.batches
    work.batches = lambda epoch: Poisoned(batches(epoch))
    with pytest.raises(ModelError, match=r"train: the loss is nan in epoch 2") as error:
        work.run()
    assert "reduce train.lr_config.learning_rate" in error.value.hint
    assert [path.read_bytes() for path in Checkpoints(tmp_path, "k").files()] == before


class Poisoned(keras.utils.PyDataset):
    """The batches of another, of images that are no numbers."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def __len__(self):
        return len(self.inner)

    def __getitem__(self, index):
        images, labels = self.inner[index]
        return images * np.float32("nan"), labels


def test_too_little_memory_names_batch_and_image_size(monkeypatch):
    work = trainer()

    def starved(*positional, **named):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 GiB")

    monkeypatch.setattr(type(work.model), "fit", starved)
    with pytest.raises(ModelError, match="out of memory with batches of 8 images, 16x16") as error:
        work.run()
    assert "train.batch_size_per_gpu or model.input_image_size" in error.value.hint


def test_no_room_is_said_before_training(tmp_path, monkeypatch):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(10, 10, 1000))
    with pytest.raises(
        Exception, match=r"the checkpoints in .* need about [\d,]+ bytes, but only 1,000 are free"
    ) as error:
        trainer(tmp_path).run()
    assert error.value.exit_code == 74
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["k", None])
def test_the_state_survives_the_file(tmp_path, key):
    rows = [{"epoch": 1, "accuracy": 1.0, "val": None}]
    state = TrainingState(2, 3, [np.float32([1, 2])], {"loss": 0.5}, rows, 1, (0.5, -1.0))
    state.best_weights = [np.ones((2, 2), np.float32)]
    variable = keras.Variable(np.arange(4.0))
    Checkpoints(tmp_path, key).write([variable], state)
    variable.assign(np.zeros(4))
    again = Checkpoints(tmp_path, key).read([variable], io.StringIO())
    np.testing.assert_array_equal(np.asarray(variable), np.arange(4.0))
    assert (again.epoch, again.batch, again.logs, again.history) == (2, 3, {"loss": 0.5}, rows)
    assert [type(value) for value in again.history[0].values()] == [int, float, type(None)]
    assert (again.best_epoch, again.best_score) == (1, (0.5, -1.0))
    np.testing.assert_array_equal(again.metrics[0], [1, 2])
    np.testing.assert_array_equal(again.best_weights[0], np.ones((2, 2)))


def test_a_training_that_is_done_is_not_done_again(tmp_path, whole):
    """Killed after its model was written and before anyone knew: the workflow removes the model and asks again."""
    work = trainer(tmp_path)
    work.finish(work.run())
    again, stream = trainer(tmp_path, {(0, 0): pytest.fail}), io.StringIO()
    again.stream = stream
    assert_same(again, again.run(), whole)
    assert f"train  was trained before with these settings; delete {tmp_path} to train again" in stream.getvalue()


@pytest.mark.parametrize("change", ["seed", "code", "key", "damage"])
def test_a_result_of_another_training_is_dropped(tmp_path, change):
    keeper = Checkpoints(tmp_path, "k", {"seed": 1, "code": "a"})
    keeper.finish(TrainingState(epoch=3, best_weights=[np.ones(3)], last_weights=[np.zeros(3)]))
    assert Checkpoints(tmp_path, "k", {"seed": 1, "code": "a"}).finished(io.StringIO()).state.epoch == 3
    if change == "damage":
        path = next(tmp_path.iterdir())
        path.write_bytes(path.read_bytes()[:-9])
    other = {"seed": 2 if change == "seed" else 1, "code": "b" if change == "code" else "a"}
    assert Checkpoints(tmp_path, "other" if change == "key" else "k", other).finished(io.StringIO()) is None
    assert not list(tmp_path.iterdir())


def test_an_unfinished_training_goes_on_with_other_code(tmp_path):
    variable = keras.Variable(np.arange(4.0))
    Checkpoints(tmp_path, "k", {"code": "a"}).write([variable], TrainingState(epoch=2))
    assert Checkpoints(tmp_path, "k", {"code": "b"}).read([variable], io.StringIO()).epoch == 2


def test_a_checkpoint_of_an_older_version_lacks_what_was_added_since(tmp_path, monkeypatch):
    variable = keras.Variable(np.arange(4.0))
    with monkeypatch.context() as older:
        older.setattr(checkpoints, "PLAIN", tuple(name for name in checkpoints.PLAIN if name != "seconds"))
        Checkpoints(tmp_path, "k").write([variable], TrainingState(epoch=2, seconds=5.0))
    again = Checkpoints(tmp_path, "k").read([variable], io.StringIO())
    assert (again.epoch, again.seconds) == (2, 0.0)
