"""Pruning of whole networks: kept slices bit for bit, equal outputs, and topologies one by one."""

import keras
import numpy as np
import pytest
from keras import layers
from secateur.errors import ModelError, SpecError
from secateur.pruning import prune
from secateur.spec import ModelSpec, PruneSpec
from secateur.zoo import build

PRUNABLE = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
SMALL = PruneSpec(threshold=0.5, granularity=2, min_num_filters=2)


def silence(model: keras.Model, names, share=0.5, seed=0):
    """Make a share of the channels exactly zero, the same for all layers in `names`: kernel, bias and BN after it."""
    rng = np.random.default_rng(seed)
    count = out_channels(model.get_layer(names[0]))
    dead = rng.permutation(count)[: int(count * share)]
    for name in names:
        layer = model.get_layer(name)
        weights = [weight.copy() for weight in layer.get_weights()]
        if isinstance(layer, layers.BatchNormalization):
            for index in (0, 1, 2):  # gamma, beta, moving mean
                weights[index][dead] = 0
        elif isinstance(layer, layers.DepthwiseConv2D):
            weights[0][:, :, dead] = 0
        else:
            weights[0][..., dead] = 0
            if len(weights) > 1:
                weights[1][dead] = 0
        layer.set_weights(weights)
    return dead


def out_channels(layer):
    weights = layer.get_weights()[0]
    return weights.shape[2] if isinstance(layer, layers.DepthwiseConv2D) else weights.shape[-1]


def jitter(model, seed=1):
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([w + rng.uniform(0.05, 0.4, w.shape).astype("float32") for w in layer.get_weights()])


def same_output(model, narrow, tolerance=1e-5):
    rng = np.random.default_rng(5)
    inputs = [rng.normal(size=(2, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]
    first, second = model(inputs if len(inputs) > 1 else inputs[0]), narrow(inputs if len(inputs) > 1 else inputs[0])
    for one, other in zip(keras.tree.flatten(first), keras.tree.flatten(second), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=tolerance, atol=tolerance)


def check(model, spec=SMALL, removed=True):
    narrow, report = prune(model, spec)
    same_output(model, narrow)
    assert (report.after.params < report.before.params) == removed
    return narrow, report


def spread(model, seed=0):
    """Give the filters of every layer norms from 0 to 1."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, PRUNABLE):
            weights = layer.get_weights()
            axis = 2 if isinstance(layer, layers.DepthwiseConv2D) else weights[0].ndim - 1
            shape = [1] * weights[0].ndim
            shape[axis] = -1
            weights[0] = weights[0] * rng.uniform(0, 1, weights[0].shape[axis]).reshape(shape).astype("float32")
            layer.set_weights(weights)


@pytest.mark.parametrize(
    "options",
    [
        {"arch": "resnet_10"},
        {"arch": "resnet_18", "all_projections": True, "use_pooling": True},
        {"arch": "resnet_18", "use_batch_norm": False, "use_bias": True},
        {"arch": "resnet_50", "retain_head": True},
        {"arch": "efficientnet-b0"},
        {"arch": "efficientnet-b1", "retain_head": True, "activation_type": "relu"},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
@pytest.mark.parametrize("criterion", ["union", "geometric_mean"])
def test_kept_weights_are_slices_bit_for_bit(options, criterion):
    model = build(ModelSpec(input_image_size="3,32,32", **{"use_batch_norm": True, **options}), 5)
    spread(model)
    narrow, report = prune(
        model, PruneSpec(threshold=0.5, granularity=4, min_num_filters=4, equalization_criterion=criterion)
    )
    assert report.after.params < 0.9 * report.before.params
    assert set(report.kept) == {layer.name for layer in model.layers if isinstance(layer, PRUNABLE)}
    for name, kept in report.kept.items():
        old, new = model.get_layer(name).get_weights(), narrow.get_layer(name).get_weights()
        if isinstance(model.get_layer(name), layers.DepthwiseConv2D):
            expected = old[0][:, :, kept]
        else:
            inputs = kept_inputs(model, name, report.kept)
            expected = np.take(old[0], inputs, axis=-2)[..., kept]
        np.testing.assert_array_equal(new[0], expected)
        if len(old) > 1:
            np.testing.assert_array_equal(new[1], old[1][kept])
    assert narrow(np.zeros((1, 32, 32, 3))).shape == (1, 5)
    assert report.kept[head_of(model)] == list(range(5))


def kept_inputs(model, name, kept):
    """An independent walk: the kept output channels of the nearest prunable layer upstream."""
    tensor = model.get_layer(name).input
    while True:
        layer = tensor._keras_history.operation
        if layer.name in kept:
            indices = np.array(kept[layer.name])
            break
        if isinstance(layer, layers.InputLayer):
            return np.arange(tensor.shape[-1])
        source = layer.input
        tensor = source[0] if isinstance(source, list) else source
    into = model.get_layer(name).get_weights()[0].shape[-2]
    width = out_channels(model.get_layer(layer.name))
    repeats = into // width
    return np.concatenate([indices + width * repeat for repeat in range(repeats)])


def head_of(model):
    return [layer.name for layer in model.layers if isinstance(layer, layers.Dense)][-1]


def test_residual_stage_is_one_group():
    model = build(ModelSpec(arch="resnet_18", use_batch_norm=True, input_image_size="3,32,32"), 5)
    _, report = prune(model, SMALL)
    stage = {"block_1a_conv_shortcut", "block_1a_conv_2", "block_1b_conv_2"}
    assert stage in [set(group.members) for group in report.groups]


def test_all_projections_close_a_group_per_block():
    model = build(ModelSpec(arch="resnet_18", all_projections=True, input_image_size="3,32,32"), 5)
    _, report = prune(model, SMALL)
    groups = [set(group.members) for group in report.groups]
    assert {"block_1a_conv_shortcut", "block_1a_conv_2"} in groups
    assert {"block_1b_conv_shortcut", "block_1b_conv_2"} in groups


def test_squeeze_excite_is_coupled_with_its_block():
    model = build(ModelSpec(arch="efficientnet-b0", input_image_size="3,32,32"), 5)
    _, report = prune(model, SMALL)
    groups = [set(group.members) for group in report.groups]
    assert {"stem_conv", "block1a_dwconv", "block1a_se_expand"} in groups
    assert {"block2a_expand_conv", "block2a_dwconv", "block2a_se_expand"} in groups
    assert {"block1a_se_reduce"} in groups


def test_an_excluded_member_freezes_its_group():
    model = build(ModelSpec(arch="resnet_10", input_image_size="3,32,32"), 5)
    spread(model)
    spec = SMALL.model_copy(update={"excluded_layers": ["block_2a_conv_2"]})
    _, report = prune(model, spec)
    assert len(report.kept["block_2a_conv_shortcut"]) == 128
    assert {group.kept_whole_because for group in report.groups if "block_2a_conv_2" in group.members} == {"excluded"}
    with pytest.raises(SpecError, match="no layer 'conv99'"):
        prune(model, SMALL.model_copy(update={"excluded_layers": ["conv99"]}))


def test_floor_and_strictness_over_a_whole_network():
    """With the largest norm as threshold nothing is above it, so the minimum stays everywhere."""
    model = build(ModelSpec(arch="resnet_10", use_batch_norm=True, input_image_size="3,32,32"), 5)
    _, report = prune(model, PruneSpec(threshold=1.0, granularity=8, min_num_filters=16))
    assert {len(kept) for name, kept in report.kept.items() if name != "predictions_dense"} == {16}


def test_zeroed_network_has_the_same_output():
    model = build(ModelSpec(arch="resnet_10", use_batch_norm=True, input_image_size="3,32,32"), 5)
    jitter(model)
    silence(model, ["conv1", "bn_conv1"])
    silence(model, ["block_1a_conv_1", "block_1a_bn_1"], seed=2)
    silence(model, ["block_3a_conv_2", "block_3a_bn_2", "block_3a_conv_shortcut", "block_3a_bn_shortcut"], seed=3)
    narrow, report = check(model, PruneSpec(threshold=1e-6, granularity=1, min_num_filters=1))
    assert len(report.kept["conv1"]) == 32
    assert len(report.kept["block_3a_conv_2"]) == 128
    _, second = prune(narrow, PruneSpec(threshold=1e-6, granularity=1, min_num_filters=1))
    assert second.after == report.after, "pruning again removes nothing more"


def test_efficientnet_with_zeroed_channels():
    model = build(ModelSpec(arch="efficientnet-b0", input_image_size="3,32,32"), 5)
    jitter(model)
    names = ["block2a_expand_conv", "block2a_expand_bn", "block2a_dwconv", "block2a_bn", "block2a_se_expand"]
    silence(model, names)
    _, report = check(model, PruneSpec(threshold=1e-6, granularity=1, min_num_filters=1))
    assert len(report.kept["block2a_dwconv"]) == 48


# One topology a function: input -> network; `c1`, `c2` ... are convolutions with 8 filters.
def conv(x, name, filters=8, **options):
    return layers.Conv2D(filters, 3, padding="same", name=name, **options)(x)


def head(x):
    return layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(x))


def merge(kind):
    def network(x):
        return head(kind()([conv(x, "c1"), conv(x, "c2")]))

    return network


def concatenated(x):
    joined = layers.Concatenate()([conv(x, "c1"), layers.ReLU()(conv(x, "c2", 6))])
    return head(conv(joined, "c3"))


def concatenate_then_add(x):
    joined = layers.Concatenate()([conv(x, "c1", 4), conv(x, "c2", 4)])
    return head(layers.Add()([joined, conv(x, "c3")]))


def flattened(x):
    return layers.Dense(3, name="logits")(layers.Flatten()(layers.MaxPooling2D()(conv(x, "c1"))))


def dense_chain(x):
    x = layers.Dense(8, activation="relu", name="c1")(layers.Flatten()(x))
    return layers.Dense(3, name="logits")(layers.Dropout(0.1)(layers.Dense(8, activation="relu", name="c2")(x)))


def dense_merge(x):
    flat = layers.Flatten()(x)
    return layers.Dense(3, name="logits")(
        layers.Add()([layers.Dense(8, name="c1")(flat), layers.Dense(8, name="c2")(flat)])
    )


def depthwise_behind_merge(x):
    x = layers.Add()([conv(x, "c1"), conv(x, "c2")])
    return head(layers.DepthwiseConv2D(3, padding="same", name="dw")(x))


def padded_and_pooled(x):
    x = layers.ZeroPadding2D(((3, 2), (3, 2)))(conv(x, "c1"))
    x = layers.AveragePooling2D(2)(layers.Cropping2D(1)(layers.LeakyReLU()(x)))
    return head(conv(layers.UpSampling2D()(layers.ELU()(x)), "c2"))


def squeeze_excite(x):
    x = conv(x, "c1")
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(8, 1, activation="sigmoid", name="gate")(layers.Conv2D(4, 1, name="c2")(gate))
    return head(layers.Multiply()([x, gate]))


def shared(x):
    layer = layers.Conv2D(8, 3, padding="same", name="shared")
    return head(layers.Concatenate()([layer(conv(x, "c1")), layer(conv(x, "c2"))]))


def broadcast(x):
    return head(layers.Add()([conv(x, "c1"), conv(x, "one", 1)]))


def transposed(x):
    return head(layers.Conv2DTranspose(4, 3, padding="same")(conv(x, "c1")))


def reshaped(x):
    return layers.Dense(3, name="logits")(layers.Flatten()(layers.Reshape((4, 2, 64))(conv(x, "c1"))))


def globally_pooled(x):
    x = conv(x, "c1")
    x = layers.Add()([layers.GlobalMaxPooling2D()(x), layers.GlobalAveragePooling2D()(conv(x, "c2"))])
    return layers.Dense(3, name="logits")(x)


def dense_to_image(x):
    x = layers.Dense(4 * 4 * 8, name="wide")(layers.Flatten()(x))
    return head(conv(layers.Reshape((4, 4, 8))(x), "c1"))


def permuted(x):
    return head(conv(layers.Permute((2, 1, 3))(conv(x, "c1")), "c2"))


def regrouped(x):
    """Two pixels of four channels become one of eight: what lands on one channel goes together."""
    return head(layers.Reshape((8, 4, 16))(conv(x, "c1")))


TOPOLOGIES = {
    "globally_pooled": (globally_pooled, ["c1", "c2"]),
    "permuted": (permuted, ["c1"]),
    "regrouped": (regrouped, ["c1"]),
    "add": (merge(layers.Add), ["c1", "c2"]),
    "subtract": (merge(layers.Subtract), ["c1", "c2"]),
    "multiply": (merge(layers.Multiply), ["c1", "c2"]),
    "average": (merge(layers.Average), ["c1", "c2"]),
    "maximum": (merge(layers.Maximum), ["c1", "c2"]),
    "concatenate": (concatenated, ["c1"]),
    "concatenate_then_add": (concatenate_then_add, []),
    "flatten": (flattened, ["c1"]),
    "dense_chain": (dense_chain, ["c1"]),
    "dense_merge": (dense_merge, ["c1", "c2"]),
    "depthwise_behind_merge": (depthwise_behind_merge, ["c1", "c2", "dw"]),
    "padded_and_pooled": (padded_and_pooled, ["c1"]),
    "squeeze_excite": (squeeze_excite, ["c1", "gate"]),
    "shared": (shared, ["c1", "c2"]),
    "broadcast": (broadcast, []),
    "reshaped": (reshaped, ["c1"]),
    "transposed": (transposed, ["c1"]),
}


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_topology(name):
    network, zeroed = TOPOLOGIES[name]
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, network(inputs))
    if zeroed:
        silence(model, zeroed)
    _, report = check(model, PruneSpec(threshold=1e-6, granularity=1, min_num_filters=1), removed=bool(zeroed))
    for layer in zeroed:
        assert len(report.kept[layer]) == len(report.kept[zeroed[0]]) == out_channels(model.get_layer(layer)) // 2
    if "one" in report.kept:
        assert report.kept["one"] == [0]


def test_concatenate_then_add_couples_by_position():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, concatenate_then_add(inputs))
    spread(model)
    _, report = prune(model, PruneSpec(threshold=0.5, granularity=1, min_num_filters=1))
    assert {("c1", "c3"), ("c2", "c3")} <= {tuple(sorted(group.members)) for group in report.groups}
    joined = report.kept["c1"] + [4 + index for index in report.kept["c2"]]
    assert report.kept["c3"] == joined


def test_a_sequential_model():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(8, 3, name="c1"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3, name="logits"),
        ]
    )
    silence(model, ["c1"])
    _, report = check(model, PruneSpec(threshold=1e-6, granularity=1, min_num_filters=1))
    assert len(report.kept["c1"]) == 4


def test_several_inputs_and_outputs_keep_their_order():
    one, other = keras.Input((8, 8, 3), name="b"), keras.Input((8, 8, 1), name="a")
    x, y = conv(one, "c1"), conv(other, "c2")
    joined = layers.Add()([x, y])
    model = keras.Model([one, other], [layers.Dense(2, name="second")(layers.Flatten()(joined)), head(joined)])
    silence(model, ["c1", "c2"])
    narrow, _ = check(model, PruneSpec(threshold=1e-6, granularity=1, min_num_filters=1))
    assert [tensor.shape for tensor in narrow.outputs] == [tensor.shape for tensor in model.outputs]
    assert [tensor.name for tensor in narrow.inputs] == ["b", "a"]


def test_a_convolution_as_output_is_protected():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Softmax()(layers.Reshape((-1, 4))(conv(conv(inputs, "c1"), "out", 4))))
    spread(model)
    _, report = prune(model, PruneSpec(threshold=1.0, granularity=1, min_num_filters=1))
    assert len(report.kept["out"]) == 4
    assert len(report.kept["c1"]) == 1


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (lambda: layers.Permute((3, 2, 1), name="odd"), "a Permute"),
        (lambda: layers.LayerNormalization(name="odd"), "it normalises over all its channels"),
        (lambda: layers.GroupNormalization(2, name="odd"), "it normalises over groups of its channels"),
        (lambda: layers.Softmax(name="odd"), "a Softmax"),
        (lambda: layers.Rescaling([0.5] * 8, name="odd"), "a Rescaling"),
    ],
)
def test_what_cannot_follow_is_refused_by_name_unless_its_producer_is_excluded(layer, reason):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(layer()(conv(inputs, "c1")))))
    spread(model)
    spec = PruneSpec(threshold=0.9, granularity=1, min_num_filters=1)
    with pytest.raises(ModelError, match=f"layer 'odd': {reason}") as error:
        prune(model, spec)
    assert error.value.hint == "add to prune.excluded_layers: c1"
    narrow, _ = prune(model, spec.model_copy(update={"excluded_layers": ["c1"]}))
    same_output(model, narrow)


def test_a_model_within_the_model_is_refused():
    inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)], name="inner")
    inputs = keras.Input((8, 8, 3))
    with pytest.raises(ModelError, match="'inner' is a model inside"):
        prune(keras.Model(inputs, head(inner(inputs))), SMALL)


def test_the_given_model_is_unchanged_and_the_result_is_not_compiled():
    model = build(ModelSpec(arch="resnet_10", input_image_size="3,32,32"), 5)
    model.compile(optimizer="sgd", loss="mse")
    before = [weight.copy() for weight in model.get_weights()]
    narrow, _ = prune(model, SMALL)
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))
    assert not narrow.compiled
    assert narrow.input_shape == model.input_shape


def test_report_cannot_be_misread():
    model = build(ModelSpec(arch="resnet_10", input_image_size="3,32,32"), 5)
    spread(model)
    _, report = prune(model, SMALL)
    figures = report.as_json()
    assert figures["params_kept_ratio"] + figures["params_removed_ratio"] == pytest.approx(1)
    assert figures["params_kept_ratio"] == report.after.params / report.before.params
    assert all(group["kept"] <= group["total"] for group in figures["groups"])
