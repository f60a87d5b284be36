"""The user's own network, with the head and the image size that the spec asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from keras import layers

from secateur.errors import ModelError
from secateur.models.cost import WITH_KERNELS
from secateur.models.file import load_model
from secateur.models.graph import calls_of, copied, last_layers, outputs_of
from secateur.spec import ModelSpec
from secateur.zoo.blocks import classifier, image_input
from secateur.zoo.build import freeze

# Names of the layers that `classifier` adds. Layers of the user's network with these names are renamed.
HEAD_NAMES = ("avg_pool", "flatten", "top_dropout", "predictions_dense", "predictions")


def build_byom(model_spec: ModelSpec, path: Path | str, classes: int, key: str | None) -> keras.Model:
    """The network of a `.tltb` or `.keras` file as a classifier of the spec's images, weights included.

    With `retain_head` the network keeps its head; a softmax is added if the network does not end in probabilities.
    Without it, one dense layer replaces the last dense layer and everything after it (or the last convolution, if the
    network ends in its softmax). A network without such a head, for example one that was cut, keeps all its layers.

    Args:
        model_spec: the model section.
        path: the file.
        classes: number of classes of the images.
        key: passphrase.

    Raises:
        ModelError: `retain_head` with another number of classes, or an image size or number of channels that the
            network cannot take.
        ArtifactError, VaultError, UntrustedModelError: as `load_model`.
    """
    if str(path).endswith(".onnx"):
        raise ModelError(f"{path}: an ONNX file", f"convert it: secateur byom {path} -o MODEL.tltb --key env:NAME")
    network, _ = load_model(path, key)
    if model_spec.retain_head:
        _require_classes(network, classes, path)
        model = _sized(network, model_spec, path)
        if _activation(model.layers[-1]) != "softmax":
            model = keras.Model(model.input, _softmax(model.output), name=model.name)
    else:
        body = _sized(keras.Model(network.input, _features(network), name=network.name), model_spec, path)
        model = keras.Model(body.input, classifier(body.output, classes), name=network.name)
    freeze(model, model_spec)
    return model


def _require_classes(network: keras.Model, classes: int, path: Path | str) -> None:
    if network.output_shape != (None, classes):
        raise ModelError(
            f"{path}: its head gives {list(network.output_shape[1:])} numbers, there are {classes} classes",
            "set model.retain_head: False for a new head",
        )


def _softmax(logits: Any) -> Any:
    return layers.Activation("softmax", dtype="float32", name="predictions")(logits)


def _activation(layer: Any) -> str:
    if isinstance(layer, layers.Softmax):
        return "softmax"
    return getattr(getattr(layer, "activation", None), "__name__", "")


def _features(network: keras.Model) -> Any:
    """The input of the head, that is of the last layer that tells classes apart; without a head, the output."""
    if len(network.output_shape) == 4:
        return network.output
    last = last_layers(network, lambda layer: isinstance(layer, WITH_KERNELS))
    calls = [call for call in calls_of(network) if call.layer.name in last]
    ends_in_softmax = _activation(network.get_layer(outputs_of(network)[0][0])) == "softmax"
    if len(calls) != 1 or not (isinstance(calls[0].layer, layers.Dense) or ends_in_softmax):
        return network.output
    return calls[0].layer.input


def _sized(network: keras.Model, model_spec: ModelSpec, path: Path | str) -> keras.Model:
    """The same network for images of the spec's size. Layers are renamed if their names clash with the new head's."""
    channels, height, width = model_spec.input_image_size
    taken = list(network.input_shape[1:])
    try:
        model = copied(network, _renamed, image_input(model_spec))
        model.set_weights(network.get_weights())
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"{path}: the network takes images of {taken} and cannot take {[height, width, channels]}: {reason}",
            f"set model.input_image_size: [{taken[2]}, {taken[0]}, {taken[1]}]",
        ) from error
    return model


def _renamed(layer: Any) -> Any:
    config = layer.get_config()
    if config["name"] in HEAD_NAMES:
        config["name"] = f"own_{config['name']}"
    return type(layer).from_config(config)
