"""The loop on real Keras: schedule, penalties, best epoch, resume, determinism, frozen parts."""

import io

import keras
import numpy as np
import pytest
from keras import layers
from secateur.errors import ModelError, SpecError
from secateur.spec import BnConfig, ModelSpec, OptimConfig, RegConfig, TrainSpec
from secateur.training.checkpoints import Checkpoints
from secateur.training.loop import Trainer
from secateur.training.optimizers import optimizer_of
from secateur.training.overrides import configured
from secateur.training.schedules import learning_rate
from secateur.zoo import build

SECTION = TrainSpec(batch_size_per_gpu=8, num_epochs=4, lr_config={"learning_rate": 0.02})


class Noise(keras.utils.PyDataset):
    """Five batches of learnable noise, another order each epoch."""

    def __init__(self, epoch, count=40):
        super().__init__()
        rng = np.random.default_rng(0)
        self.labels = np.arange(count) % 2
        self.images = rng.normal(self.labels[:, None, None, None], 0.5, (count, 16, 16, 1)).astype("float32")
        self.order = np.random.default_rng(epoch).permutation(count)

    def __len__(self):
        return len(self.order) // 8

    def __getitem__(self, index):
        chosen = self.order[index * 8 : index * 8 + 8]
        return self.images[chosen], np.eye(2, dtype="float32")[self.labels[chosen]]


def network(section=SECTION, **options):
    """Of the zoo with these options; without any a small one of the same layers, traced in a quarter of the time."""
    keras.utils.set_random_seed(1)
    if not options:
        return configured(small_network(), section)
    spec = ModelSpec(**{"arch": "resnet_10", "use_batch_norm": True, "input_image_size": "1,16,16", **options})
    return configured(build(spec, 2), section)


def small_network():
    x = image = keras.Input((16, 16, 1))
    for filters in (16, 32):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(2, activation="softmax", name="predictions")(x))


def trainer(model, section=SECTION, folder=None, identity=None, **more):
    return Trainer(
        model,
        section,
        Noise,
        Noise(99),
        40,
        stream=io.StringIO(),
        checkpoints=Checkpoints(folder, "k", identity) if folder else None,
        **more,
    )


def test_it_learns_and_two_runs_are_the_same():
    states = [trainer(network()).run() for _ in range(2)]
    assert states[0].history == states[1].history
    assert states[0].history[-1]["val_accuracy"] > 0.9
    assert [row["epoch"] for row in states[0].history] == [1, 2, 3, 4]


def test_each_batch_has_its_rate():
    rates = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    work = trainer(network())
    fit = work.model.fit
    work.model.fit = lambda *positional, callbacks, **named: fit(*positional, callbacks=[*callbacks, Watch()], **named)
    state = work.run()
    expected = [learning_rate(SECTION.lr_config, batch / 20) for batch in range(20)]
    assert rates == pytest.approx(expected, rel=1e-6)
    assert state.history[-1]["lr"] == pytest.approx(expected[-1])


def test_the_model_ends_with_its_best_weights():
    section = SECTION.model_copy(update={"num_epochs": 3})
    work = trainer(network(section), section)
    state = work.run()
    best = max(row["val_accuracy"] for row in state.history)
    work.model.compile(loss="categorical_crossentropy", metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")])
    assert work.model.evaluate(Noise(99), return_dict=True, verbose=0)["accuracy"] == pytest.approx(best)
    assert state.history[state.best_epoch - 1]["val_accuracy"] == best
    work.model.set_weights(state.last_weights)
    last = work.model.evaluate(Noise(99), return_dict=True, verbose=0)["accuracy"]
    assert last == pytest.approx(state.history[-1]["val_accuracy"])


class StopError(Exception):
    pass


def interrupted(folder, after, identity):
    def stop(row, seconds):
        if row["epoch"] == after:
            raise StopError

    with pytest.raises(StopError):
        trainer(network(), folder=folder, identity=identity, on_epoch=stop).run()


def test_resume_continues_to_the_same_end(tmp_path):
    identity = {"train": {"num_epochs": 1}}
    whole = trainer(network(), identity=identity)
    expected = whole.run()
    interrupted(tmp_path, 2, identity)
    rest = trainer(network(), folder=tmp_path, identity=identity)
    state = rest.run()
    assert state.history == expected.history
    for one, other in zip(whole.model.get_weights(), rest.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    rest.finish(state)
    assert [path.name for path in tmp_path.iterdir()] == ["finished.age"]


def test_resume_refuses_another_spec_and_says_what_changed(tmp_path):
    before = {"train": {"lr_config": {"learning_rate": 0.1}, "bn": 1}, "images": "a" * 64, "classes": ["a", "b"]}
    now = {"train": {"lr_config": {"learning_rate": 0.2}, "bn": 1}, "images": "b" * 64, "classes": ["a", "c"]}
    interrupted(tmp_path, 2, before)
    with pytest.raises(SpecError) as error:
        trainer(network(), folder=tmp_path, identity=now).run()
    assert error.value.message.endswith(
        "was started with other settings: classes; images; train.lr_config.learning_rate: 0.1, now 0.2"
    )
    assert error.value.hint == f"delete {tmp_path} to start again, or undo the change to resume"


def test_resume_refuses_another_network(tmp_path):
    interrupted(tmp_path, 2, {})
    with pytest.raises(SpecError, match="has another network"):
        trainer(network(arch="resnet_18"), folder=tmp_path).run()


def test_checkpoint_interval(tmp_path):
    section = SECTION.model_copy(update={"checkpoint_interval": 3})
    seen = []
    work = trainer(
        network(), section, tmp_path, on_epoch=lambda row, seconds: seen.append(len(list(tmp_path.iterdir())))
    )
    work.run()
    assert seen == [0, 0, 0, 1]
    assert len(list(tmp_path.iterdir())) == 2, "the last epoch always has one"


def test_validation_interval_skips_but_never_the_last_epoch():
    section = SECTION.model_copy(update={"validation_interval": 3})
    history = trainer(network(), section).run().history
    assert [row["val_accuracy"] is None for row in history] == [True, True, False, False]


def test_a_loss_that_is_no_number_stops():
    section = SECTION.model_copy(update={"lr_config": SECTION.lr_config.model_copy(update={"learning_rate": 1e30})})
    with pytest.raises(ModelError, match=r"the loss is (nan|inf)"):
        trainer(network(section, use_batch_norm=False), section).run()


def test_frozen_parts_do_not_move():
    model = network(freeze_blocks=[0, 1], freeze_bn=True)
    fixed = [
        layer
        for layer in model.layers
        if isinstance(layer, layers.BatchNormalization) or layer.name.startswith(("conv1", "block_1a_conv"))
    ]
    before = {layer.name: [weight.copy() for weight in layer.get_weights()] for layer in fixed}
    moving = model.get_layer("block_4a_conv_1").get_weights()[0].copy()
    trainer(model).run()
    for layer in fixed:
        for one, other in zip(before[layer.name], layer.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    assert not np.array_equal(moving, model.get_layer("block_4a_conv_1").get_weights()[0])


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_penalty_counts_kernels_in_scope_only(kind):
    section = TrainSpec(reg_config=RegConfig(type=kind, scope=["Conv2D"], weight_decay=0.01))
    model = network(section, arch="efficientnet-b0")
    power = 1 if kind == "l1" else 2
    convolutions = [layer for layer in model.layers if type(layer) is layers.Conv2D]
    expected = sum(0.01 * (np.abs(layer.get_weights()[0].astype("float64")) ** power).sum() for layer in convolutions)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-4)
    again = configured(model, TrainSpec(reg_config=RegConfig(type="none")))
    assert not again.losses


@pytest.mark.parametrize("arch", ["efficientnet-b0", "mobilenet_v2"])
def test_without_bn_config_statistics_settle_within_a_short_training(arch):
    model = network(arch=arch, use_batch_norm=True)
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    assert {(layer.momentum, layer.epsilon) for layer in norms} == {(0.9, 1e-3)}


def test_bn_config_overrides_every_layer():
    section = TrainSpec(bn_config=BnConfig(momentum=0.8, epsilon=1e-4))
    model = network(section, arch="efficientnet-b0")
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    assert {(layer.momentum, layer.epsilon) for layer in norms} == {(0.8, 1e-4)}


def test_optimizers_get_their_parameters():
    sgd = optimizer_of(OptimConfig(momentum=0.7, nesterov=True), 0.1)
    assert (sgd.momentum, sgd.nesterov) == (0.7, True)
    adam = optimizer_of(OptimConfig(optimizer="adam", beta_1=0.8, beta_2=0.95, epsilon=1e-5), 0.1)
    assert (adam.beta_1, adam.beta_2, adam.epsilon) == (0.8, 0.95, 1e-5)
    rmsprop = optimizer_of(OptimConfig(optimizer="rmsprop", rho=0.6, epsilon=1e-6), 0.1)
    assert (rmsprop.rho, rmsprop.epsilon) == (0.6, 1e-6)


def test_progress_has_one_plain_line_an_epoch():
    work = trainer(network())
    work.run()
    lines = work.stream.getvalue().splitlines()
    assert len(lines) == 4
    assert all(word in lines[1] for word in ("epoch 2/4", "loss", "accuracy", "images/s", "ETA"))
