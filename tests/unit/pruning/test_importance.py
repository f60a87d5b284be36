"""What channels are judged by."""

import keras
import numpy as np
import pytest
from keras import layers
from secateur.errors import ModelError, SpecError
from secateur.pruning import prune
from secateur.pruning.layer_rules import channel_graph
from secateur.pruning.plan import Plan
from secateur.pruning.recalibrate import recalibrate
from secateur.pruning.taylor import LabelledImages, taylor_importance
from secateur.spec import PruneSpec

LOOSE = {"granularity": 1, "min_num_filters": 1}


def small(norm=True):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, padding="same", name="c1")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="b1")(x) if norm else x)
    y = layers.Conv2D(6, 3, padding="same", name="c2")(x)
    x = layers.Add()([x, layers.BatchNormalization(name="b2")(y) if norm else y])
    x = layers.DepthwiseConv2D(3, padding="same", name="dw")(x)
    return keras.Model(inputs, layers.Dense(4, activation="softmax", name="out")(layers.Flatten()(x)))


def images(count=12, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.normal(size=(count, 8, 8, 3)).astype("float32")
    return LabelledImages(pixels, np.eye(classes, dtype="float32")[rng.integers(0, classes, count)])


def losses(model, data):
    answers = np.asarray(model(data.pixels, training=False), np.float64)
    return -np.log((answers * data.labels).sum(axis=1))


def scaled(model, channel, factor):
    """The network with what its readers get from one channel of the Add's group scaled: c2's and Dense's rows."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    kernel, bias = copy.get_layer("c2").get_weights()
    kernel[:, :, channel] *= factor
    copy.get_layer("c2").set_weights([kernel, bias])
    kernel, bias = copy.get_layer("out").get_weights()
    kernel[channel::6] *= factor
    copy.get_layer("out").set_weights([kernel, bias])
    return copy


def test_taylor_is_the_squared_slope_of_each_images_loss():
    """Against finite differences: scale what every reader of a channel gets by 1 - e and 1 + e."""
    model, data, step = small(), images(), 1e-2
    graph = channel_graph(model)
    by_root = taylor_importance(model, graph, data)
    roots = graph.ids.roots(graph.produced["c1"])
    for channel in range(6):
        up, down = (losses(scaled(model, channel, 1 + sign * step), data) for sign in (1, -1))
        expected = np.square((up - down) / (2 * step)).mean()
        assert by_root[roots[channel]] == pytest.approx(expected, rel=0.02)


def test_taylor_leaves_the_model_alone_and_needs_one_input():
    model, data = small(), images()
    before = [weight.copy() for weight in model.get_weights()]
    prune(model, PruneSpec(target_macs=0.7, importance="taylor", **LOOSE), data)
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))
    assert len(model.get_layer("c1")._inbound_nodes) == 1
    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    joined = layers.Flatten()(layers.Conv2D(4, 3)(layers.Add()([first, second])))
    both = keras.Model([first, second], layers.Dense(4, activation="softmax")(joined))
    with pytest.raises(ModelError, match="one input and one output"):
        prune(both, PruneSpec(importance="taylor"), data)


@pytest.mark.parametrize("wish", [{"importance": "taylor"}, {"recalibrate_bn": True}])
def test_what_needs_images_says_so(wish):
    with pytest.raises(SpecError, match="needs training images"):
        prune(small(), PruneSpec(target_macs=0.7, **wish))


def test_a_channel_that_nobody_uses_has_no_taylor_importance_and_goes_first():
    model = small()
    kernel, bias = model.get_layer("out").get_weights()
    kernel[2::6] = 0
    model.get_layer("out").set_weights([kernel, bias])
    kernel, bias = model.get_layer("c2").get_weights()
    kernel[:, :, 2] = 0
    model.get_layer("c2").set_weights([kernel, bias])
    for ranking in ("layer", "global"):
        _, report = prune(model, PruneSpec(threshold=1e-9, importance="taylor", ranking=ranking, **LOOSE), images())
        assert report.kept["c1"] == report.kept["dw"] == [0, 1, 3, 4, 5]


def test_bn_scale_judges_by_the_normalisation():
    model = small()
    for name, gamma in (("b1", [0.1, 1, 1, 1, -2, 0.1]), ("b2", [0.1, 1, 1, 1, 1, 0.1])):
        layer = model.get_layer(name)
        layer.set_weights([np.array(gamma), *layer.get_weights()[1:]])
    _, report = prune(model, PruneSpec(threshold=0.3, importance="bn_scale", **LOOSE))
    assert report.kept["c1"] == [1, 2, 3, 4], "the size of a scale counts, not its sign"
    (group,) = [group for group in report.groups if "c1" in group.members]
    assert group.largest == 1
    assert group.smallest == pytest.approx(0.1)


def test_bn_scale_falls_back_on_norms_where_there_is_no_normalisation():
    model = small(norm=False)
    plan = Plan(model, PruneSpec(importance="bn_scale", ranking="global"))
    assert all(np.isfinite(values).all() for values in plan.statistics)
    _, by_norm = prune(model, PruneSpec(threshold=0.9, **LOOSE))
    _, by_scale = prune(model, PruneSpec(threshold=0.9, importance="bn_scale", **LOOSE))
    assert by_norm.kept == by_scale.kept


def test_l1_and_l2_differ_where_weights_are_uneven():
    inputs = keras.Input((4, 4, 4))
    x = layers.Conv2D(2, 1, use_bias=False, name="c")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="out")(layers.GlobalAveragePooling2D()(x)))
    kernel = np.array([[1.6, 0, 0, 0], [0.7, 0.7, 0.7, 0.7]]).T.reshape(1, 1, 4, 2)
    model.get_layer("c").set_weights([kernel])
    kept = {
        name: prune(model, PruneSpec(threshold=0.9, importance=name, **LOOSE))[1].kept["c"] for name in ("l1", "l2")
    }
    assert kept == {"l1": [1], "l2": [0]}


def test_global_ranking_takes_from_the_weakest_layer():
    model = small()
    kernel, bias = model.get_layer("c1").get_weights()
    inputs = keras.Input((8, 8, 3))
    strong = layers.Conv2D(6, 3, name="strong")(inputs)
    weak = layers.Conv2D(6, 3, name="weak")(inputs)
    joined = layers.Concatenate()([strong, weak])
    model = keras.Model(inputs, layers.Dense(2, name="out")(layers.GlobalAveragePooling2D()(joined)))
    model.get_layer("strong").set_weights([kernel * 10, bias])
    model.get_layer("weak").set_weights([kernel, bias])
    _, report = prune(model, PruneSpec(target_macs=0.6, ranking="global", **LOOSE))
    assert len(report.kept["strong"]) == 6
    assert len(report.kept["weak"]) < 6
    _, report = prune(model, PruneSpec(target_macs=0.6, ranking="layer", **LOOSE))
    assert abs(len(report.kept["strong"]) - len(report.kept["weak"])) <= 1


@pytest.mark.parametrize("importance", ["l2", "l1", "bn_scale", "taylor", "random"])
def test_uniform_ranking_takes_the_share_that_the_threshold_is_from_every_layer(importance):
    """TAO's users read 0.68 as 68 %: here it is."""
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(10, 3, padding="same", name="wide")(inputs))
    x = layers.Conv2D(5, 3, name="narrow")(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax", name="out")(layers.Flatten()(x)))
    spec = PruneSpec(threshold=0.6, importance=importance, ranking="uniform", **LOOSE)
    _, report = prune(model, spec, images())
    assert [len(report.kept[name]) for name in ("wide", "narrow")] == [4, 2]
    if importance == "l2":
        norms = np.square(model.get_layer("wide").get_weights()[0]).sum(axis=(0, 1, 2))
        assert report.kept["wide"] == sorted(np.argsort(norms)[-4:].tolist()), "the longest filters stay"


def test_uniform_ranking_of_channels_that_are_alike_takes_the_later():
    model = small()
    for name in ("c1", "c2"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([np.ones_like(kernel), bias])
    kernel = model.get_layer("dw").get_weights()
    model.get_layer("dw").set_weights([np.ones_like(kernel[0]), kernel[1]])
    _, report = prune(model, PruneSpec(threshold=0.5, ranking="uniform", **LOOSE))
    assert report.kept["c1"] == [0, 1, 2]


def test_recalibration_finds_the_statistics_of_what_is_left():
    model, data = small(), images(128)
    model.get_layer("b2").trainable = False
    recalibrate(model, data.pixels)
    before = keras.Model(model.input, model.get_layer("c1").output)
    values = np.asarray(before(data.pixels))
    norm = model.get_layer("b1")
    np.testing.assert_allclose(np.asarray(norm.moving_mean), values.mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-4)
    by_batch = np.mean([values[start : start + 64].var(axis=(0, 1, 2)) for start in (0, 64)], axis=0)
    np.testing.assert_allclose(np.asarray(norm.moving_variance), by_batch, rtol=1e-3)
    assert norm.momentum == 0.99
    assert norm.trainable
    assert not model.get_layer("b2").trainable
    assert np.abs(np.asarray(model.get_layer("b2").moving_mean)).max() > 0


def test_pruning_with_recalibration_changes_nothing_but_statistics():
    model, data = small(), images(64)
    plain, _ = prune(model, PruneSpec(target_macs=0.6, **LOOSE))
    again, _ = prune(model, PruneSpec(target_macs=0.6, recalibrate_bn=True, **LOOSE), data)
    for one, other in zip(plain.variables, again.variables, strict=True):
        same = np.array_equal(np.asarray(one), np.asarray(other))
        assert same == (not one.name.startswith("moving"))


@pytest.mark.parametrize("ranking", ["layer", "global", "uniform"])
def test_weights_that_order_nothing_are_refused_by_name(ranking):
    model = small()
    kernel, bias = model.get_layer("dw").get_weights()
    kernel[0, 0, 2] = np.nan
    model.get_layer("dw").set_weights([kernel, bias])
    with pytest.raises(ModelError, match="importance l2 is NaN or infinite for channels of dw"):
        prune(model, PruneSpec(target_macs=0.5, ranking=ranking, **LOOSE))
