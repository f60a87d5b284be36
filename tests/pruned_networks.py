"""What a pruned network must compute: the same as the unpruned one whose removed filters are zero."""

import keras
import numpy as np
from keras import layers
from secateur.errors import ModelError
from secateur.pruning import prune
from secateur.spec import PruneSpec


def zeroed(model, kept):
    """A copy whose filters that are not in `kept` are zero, biases included. Everything else passes zeros on."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for name, stay in kept.items():
        layer = copy.get_layer(name)
        kernel, *rest = layer.get_weights()
        if isinstance(layer, layers.DepthwiseConv2D):
            filters = kernel.shape[2] * kernel.shape[3]
            gone = np.setdiff1d(np.arange(filters), stay)
            kernel.reshape(*kernel.shape[:2], filters)[..., gone] = 0
        elif isinstance(layer, layers.SeparableConv2D):
            gone = np.setdiff1d(np.arange(rest[0].shape[-1]), stay)
            rest[0][..., gone] = 0
        else:
            gone = np.setdiff1d(np.arange(kernel.shape[-1]), stay)
            kernel[..., gone] = 0
        if layer.use_bias:
            rest[-1][gone] = 0
        layer.set_weights([kernel, *rest])
    return copy


def disturb(model, seed):
    """Biases and scales that are not their initial zeros and ones; normalisations still map 0 to 0."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        weights = layer.get_weights()
        if isinstance(layer, layers.BatchNormalization):
            shapes = {weight.name: weight.shape for weight in layer.weights}
            drawn = {
                name: rng.uniform(0.5, 1.5, shapes[name]) for name in ("gamma", "moving_variance") if name in shapes
            }
            layer.set_weights([drawn.get(w.name, old) for w, old in zip(layer.weights, weights, strict=True)])
        elif weights:
            layer.set_weights([weight + rng.uniform(-0.1, 0.1, weight.shape) for weight in weights])


def prune_as_told(model, spec):
    """Prune; when that is refused, do what the error says, which must be enough."""
    try:
        return prune(model, spec)
    except ModelError as error:
        assert "layer '" in str(error)
        told = error.hint.removeprefix("add to prune.excluded_layers: ").split(", ")
        return prune(model, spec.model_copy(update={"excluded_layers": told}))


def assert_same(model, seed=0, **options):
    disturb(model, seed)
    chosen = {"threshold": 0.5, "granularity": 1, "min_num_filters": 1, "importance": "random", "random_seed": seed}
    narrow, report = prune_as_told(model, PruneSpec(**{**chosen, **options}))
    expected = zeroed(model, report.kept)
    rng = np.random.default_rng(seed)
    given_ = [rng.normal(size=(2, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]
    fed = given_ if len(given_) > 1 else given_[0]
    for one, other in zip(keras.tree.flatten(expected(fed)), keras.tree.flatten(narrow(fed)), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-4, atol=1e-5)
    assert report.after.params == narrow.count_params()
    return narrow, report
