"""Whatever the graph: the pruned network computes what the unpruned one does with the removed filters set to zero."""

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers

from tests.pruned_networks import assert_same

SIDE = 8
WIDTHS = (4, 6, 8)


class Maker:
    """Grows a graph from drawn numbers; tensors in the pool all are 8x8 pixels."""

    def __init__(self, draw):
        self.draw = draw
        self.inputs = [keras.Input((SIDE, SIDE, 3)) for _ in range(draw(st.integers(1, 2)))]
        self.pool = [self.conv(x) for x in self.inputs]

    def some(self):
        return self.draw(st.sampled_from(self.pool))

    def number(self, *values):
        return self.draw(st.sampled_from(values))

    def conv(self, x, filters=None):
        filters = filters or self.number(*WIDTHS)
        return layers.Conv2D(filters, self.number(1, 3), padding="same", use_bias=self.number(True, False))(x)

    def like(self, x, y):
        """`y` with as many channels as `x`."""
        return y if x.shape[-1] == y.shape[-1] else self.conv(y, x.shape[-1])

    def grow(self):
        self.pool.append(getattr(self, self.number(*STEPS))(self.some()))

    def grouped(self, x):
        return layers.Conv2D(8, 3, padding="same", groups=2)(x)

    def grouped_like_depthwise(self, x):
        return layers.Conv2D(x.shape[-1] * self.number(1, 2), 3, padding="same", groups=x.shape[-1])(x)

    def separable(self, x):
        return layers.SeparableConv2D(self.number(*WIDTHS), 3, padding="same", depth_multiplier=self.number(1, 2))(x)

    def depthwise(self, x):
        return layers.DepthwiseConv2D(3, padding="same", depth_multiplier=self.number(1, 2))(x)

    def transposed(self, x):
        return layers.Conv2DTranspose(self.number(*WIDTHS), 3, padding="same")(x)

    def norm(self, x):
        return layers.ReLU()(layers.BatchNormalization()(x))

    def slopes(self, x):
        return layers.PReLU(alpha_initializer="uniform", shared_axes=self.number(None, [1, 2], [1, 2, 3]))(x)

    def merge(self, x):
        kind = self.number(layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum)
        return kind()([x, self.like(x, self.some())])

    def concatenate(self, x):
        return layers.Concatenate()([x, self.some()])

    def twice(self, x):
        """One layer on two tensors."""
        filters, multiplier = self.number(*WIDTHS), self.number(1, 2)
        shared = self.number(
            lambda: layers.Conv2D(filters, 3, padding="same"),
            lambda: layers.SeparableConv2D(filters, 3, padding="same"),
            lambda: layers.DepthwiseConv2D(3, padding="same", depth_multiplier=multiplier),
            lambda: layers.Conv2DTranspose(filters, 3, padding="same"),
            layers.BatchNormalization,
        )()
        return self.number(layers.Add, layers.Concatenate)()([shared(x), shared(self.like(x, self.some()))])

    def broadcast(self, x):
        return layers.Multiply()([self.conv(x, 1), x])

    def folded(self, x):
        """Two pixels side by side become the channels of one, and come apart again."""
        pairs = layers.Reshape((SIDE, SIDE // 2, 2 * x.shape[-1]))(x)
        return layers.Reshape((SIDE, SIDE, x.shape[-1]))(pairs)

    def from_dense(self, x):
        flat = layers.Dense(2 * SIDE * SIDE)(layers.GlobalAveragePooling2D()(x))
        return layers.Reshape((SIDE, SIDE, 2))(flat)

    def needs_all(self, x):
        return self.number(layers.LayerNormalization, layers.Softmax)()(x)

    def excited(self, x):
        gate = layers.Reshape((1, 1, x.shape[-1]))(layers.GlobalAveragePooling2D()(x))
        return layers.Multiply()([x, layers.Conv2D(x.shape[-1], 1, activation="sigmoid")(self.conv(gate))])

    def resized(self, x):
        return layers.MaxPooling2D()(layers.UpSampling2D()(layers.Permute((2, 1, 3))(x)))

    def head(self):
        x = self.some()
        kind = self.number("average", "max", "flatten", "reshape")
        if kind == "reshape":
            x = layers.Reshape((SIDE // 2, SIDE // 2, 4 * x.shape[-1]))(x)
        if kind in ("flatten", "reshape"):
            x = layers.Flatten()(layers.MaxPooling2D()(x))
        else:
            x = (layers.GlobalAveragePooling2D if kind == "average" else layers.GlobalMaxPooling2D)()(x)
        for _ in range(self.number(0, 1, 2)):
            x = layers.PReLU()(layers.Dense(6)(x))
        return layers.Dense(3, activation="softmax")(x)

    def model(self):
        for _ in range(self.draw(st.integers(1, 6))):
            self.grow()
        joined = layers.Add()([self.like(self.pool[-1], x) for x in self.pool]) if len(self.pool) > 1 else self.pool[0]
        self.pool.append(joined)
        return keras.Model(self.inputs, [self.head() for _ in range(self.number(1, 2))])


STEPS = (
    "conv",
    "grouped",
    "grouped_like_depthwise",
    "separable",
    "depthwise",
    "transposed",
    "norm",
    "slopes",
    "merge",
    "concatenate",
    "twice",
    "broadcast",
    "folded",
    "from_dense",
    "needs_all",
    "excited",
    "resized",
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_random_graphs(data):
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = Maker(data.draw).model()
    assert_same(
        model,
        data.draw(st.integers(0, 3)),
        granularity=data.draw(st.sampled_from((1, 2))),
        importance=data.draw(st.sampled_from(("random", "l2", "bn_scale"))),
        ranking=data.draw(st.sampled_from(("layer", "global", "uniform"))),
    )


def network(body):
    inputs = keras.Input((SIDE, SIDE, 3))
    x = body(layers.Conv2D(8, 3, padding="same", name="c1")(inputs))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize(
    ("layer", "kept"),
    [
        (lambda: layers.Conv2D(12, 3, groups=2, name="g"), lambda own, before: len(own) % 2 == 0),
        (lambda: layers.Conv2D(8, 3, groups=8, name="g"), lambda own, before: own == before),
        (
            lambda: layers.DepthwiseConv2D(3, depth_multiplier=3, name="g"),
            lambda own, before: len(own) == 3 * len(before),
        ),
        (lambda: layers.SeparableConv2D(8, 3, depth_multiplier=2, name="g"), lambda own, before: len(own) <= 8),
    ],
    ids=["grouped", "grouped-like-depthwise", "depth-multiplier", "separable"],
)
@pytest.mark.parametrize("importance", ["random", "l2", "l1"])
def test_convolutions_of_every_kind_are_pruned(layer, kept, importance):
    model = network(lambda x: layers.ReLU()(layer()(x)))
    for index, name in enumerate(("c1", "g")):
        weights = model.get_layer(name).get_weights()
        spread = np.random.default_rng(index).uniform(0, 1, weights[0].shape[-1])
        model.get_layer(name).set_weights([weights[0] * spread, *weights[1:]])
    _, report = assert_same(model, seed=3, importance=importance)
    if importance == "random":
        assert len(report.kept["c1"]) < 8
    assert kept(report.kept["g"], report.kept["c1"])


def test_every_group_of_a_grouped_convolution_keeps_the_same_places():
    model = network(layers.Conv2D(12, 3, groups=2, name="g"))
    _, report = assert_same(model, seed=1)
    assert [index % 4 for index in report.kept["c1"] if index < 4] == [i - 4 for i in report.kept["c1"] if i >= 4]
    assert [index for index in report.kept["g"] if index < 6] == [i - 6 for i in report.kept["g"] if i >= 6]
    widths = {group.members: group.width for group in report.groups}
    assert widths[("c1",)] == widths[("g",)] == 2


def test_granularity_counts_filters_not_places_of_a_group():
    model = network(layers.Conv2D(16, 3, groups=2, name="g"))
    _, report = assert_same(model, seed=1, granularity=4)
    assert len(report.kept["c1"]) % 4 == len(report.kept["g"]) % 4 == 0


def test_a_pruned_network_can_be_pruned_again():
    model = network(lambda x: layers.Conv2D(12, 3, groups=2, name="g")(layers.DepthwiseConv2D(3, name="dw")(x)))
    narrow, first = assert_same(model, seed=1)
    _, second = assert_same(narrow, seed=2)
    assert second.before == first.after
    assert second.after.params <= first.after.params
