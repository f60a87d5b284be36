"""Model files: a Keras archive with a card inside, encrypted with the key. Reading one runs no code from it."""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
from keras.src.saving.saving_lib import _save_model_to_fileobj

from secateur import __version__
from secateur.errors import ModelError, SecateurError, UntrustedModelError
from secateur.models.archive import CARD, Archive, plain_bytes
from secateur.models.graph import all_layers, copied, require_known_layers
from secateur.models.h5 import HDF5_MAGIC, NamedWeights, read_named_weights, require_finite
from secateur.models.h5_sandbox import require_readable
from secateur.models.network_config import for_stored_weights
from secateur.storage.atomic import atomic_file
from secateur.vault.files import write_content

# Numbers that one layer may make of one image: 1 GiB as float32. VGG's first layers make 2^22 of 256 x 256 pixels.
MAX_ACTIVATIONS = 1 << 28
IMAGE_AXES = 4  # batch, height, width, channels
INNER_ERROR = "Exception encountered: "
MAX_REASON = 300  # letters of an explanation of Keras, which can repeat what is in the file


def save_model(model: keras.Model, path: Path | str, key: str | None, card: dict[str, Any]) -> None:
    """Write a model without its optimizer, atomically, encrypted if there is a key.

    Args:
        model: a functional model.
        path: `.tlt` by convention.
        key: passphrase; None writes a plain Keras archive.
        card: plain data about the model, such as `pruned` and `classes`; all of it but `sha256` is stored inside.

    Raises:
        ModelError: a layer that `load_model` would refuse, named.
    """
    require_known_layers(model)
    archive = io.BytesIO()
    # In memory: plain content must not be on a disk. Keras' public function writes to a path only.
    _save_model_to_fileobj(_bare(model), archive, "h5")
    with zipfile.ZipFile(archive, "a") as members:
        kept = {name: value for name, value in card.items() if name != "sha256"}
        members.writestr(CARD, json.dumps({**kept, "secateur": __version__}))
    archive.seek(0)
    with atomic_file(path, archive.getbuffer().nbytes) as target:
        write_content(archive, target, key)


def _bare(model: keras.Model) -> keras.Model:
    """The model without optimizer, losses and metrics."""
    bare = copied(model, _with_plain_options)
    bare.set_weights(model.get_weights())
    return bare


def _with_plain_options(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A copy with lists for arrays among its options: Keras writes an array as an object, and those are not read."""
    options = layer.get_config()
    for name, value in options.items():
        if isinstance(value, dict) and value.get("class_name") == "__numpy__":
            options[name] = value["config"]["value"]
    return type(layer).from_config(options)


def load_model(path: Path | str, key: str | None) -> tuple[keras.Model, dict[str, Any]]:
    """Read a model that `save_model` wrote, or a plain Keras archive.

    Returns:
        The uncompiled model and its card, to which `sha256` of the decrypted file is added.

    Raises:
        ArtifactError: the file cannot be read.
        VaultError: the file cannot be decrypted with this key.
        UntrustedModelError: the file holds something other than plain layers and finite weights.
        ModelError: Keras cannot build the model.
    """
    archive = Archive(path, plain_bytes(path, key))
    require_readable(archive.weights, path)
    weights = archive.checked_weights()
    archive.weights = b""  # otherwise they would be in memory twice
    require_finite(weights, path)
    with _in_one_error(path):
        # In this scope variables have a shape but no memory, so nothing is allocated that the file does not hold.
        with keras.StatelessScope(initialize_variables=False):
            model = _one_to_one(keras.saving.deserialize_keras_object(for_stored_weights(archive.config)), path)
            holders = _holders(model, weights, path)
            _check_activations(model, path)
        with keras.StatelessScope():
            pass
        for name, layer in holders.items():
            layer.set_weights(weights.pop(name))
    return model, {**archive.card, "sha256": archive.sha256}


@contextmanager
def _in_one_error(path: Path | str) -> Iterator[None]:
    """Whatever Keras raises for a config, the user gets one error, and the network is forgotten."""
    try:
        yield
    except BaseException as error:
        # Keras would allocate the variables of a refused network together with those of the next one.
        keras.utils.clear_session()
        if isinstance(error, SecateurError) or not isinstance(error, Exception):
            raise
        if isinstance(error, MemoryError):
            raise UntrustedModelError(
                f"{path}: the network needs more memory than there is", "free memory, or do not trust the file"
            ) from error
        raise ModelError(
            f"{path}: Keras cannot build this model: {_reason(error)}", "save it again with Keras 3"
        ) from error


def _reason(error: Exception) -> str:
    """The line of Keras' text that names the cause."""
    if isinstance(error, RecursionError):
        return "too many layers follow one another"
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    inner = [line.removeprefix(INNER_ERROR) for line in lines if line.startswith(INNER_ERROR)]
    return (inner[-1] if inner else lines[0])[:MAX_REASON]


def _holders(model: keras.Model, weights: dict[str, list[Any]], path: Path | str) -> dict[str, keras.layers.Layer]:
    """The layers by name. Each must take exactly the weights of its name, else ModelError names the layer."""
    holders = {layer.name: layer for layer in all_layers(model) if layer.weights}
    apart = sorted(holders.keys() ^ weights.keys())
    if apart:
        where = "the network" if apart[0] in weights else "the file"
        raise ModelError(f"{path}: layer '{apart[0]}' has weights that {where} lacks", "save it again with Keras 3")
    for name, layer in holders.items():
        here, there = [tuple(weight.shape) for weight in layer.weights], [array.shape for array in weights[name]]
        if here != there:
            raise ModelError(
                f"{path}: layer '{name}' has the shapes {here}, its weights {there}", "save it again with Keras 3"
            )
    return holders


def _one_to_one(model: keras.Model, path: Path | str) -> keras.Model:
    """The model as a function from one tensor to one tensor. Raises ModelError if it has more, or takes no images."""
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.inputs[0].shape) != IMAGE_AXES:
        raise ModelError(
            f"{path}: the network takes {model.input_shape} and makes {model.output_shape}, not one result from one "
            "image",
            "save a model with one input [batch, height, width, channels] and one output",
        )
    # Keras has no public access to the form of the ends: a list or a dictionary of one tensor is possible.
    if all(isinstance(end, keras.KerasTensor) for end in (model._inputs_struct, model._outputs_struct)):
        return model
    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)


def _check_activations(model: keras.Model, path: Path | str) -> None:
    """Refuse layers that make too many numbers: up-sampling and padding can declare any size without weights."""
    for layer in all_layers(model):
        # Keras has no public access to all calls of a shared layer.
        for node in layer._inbound_nodes:
            for tensor in node.output_tensors:
                if any(side is not None and side < 1 for side in tensor.shape):
                    raise UntrustedModelError(
                        f"{path}: layer '{layer.name}' makes an output of the size {list(tensor.shape[1:])}",
                        "do not trust it",
                    )
                numbers = max(_product(tensor.shape), *(_spread(layer, given) for given in node.input_tensors), 0)
                if numbers > MAX_ACTIVATIONS:
                    raise UntrustedModelError(
                        f"{path}: layer '{layer.name}' makes {numbers:,} numbers from one image", "do not trust it"
                    )


def _product(sides: Iterable[int | None]) -> int:
    return math.prod(side or 1 for side in sides)


def _spread(layer: keras.layers.Layer, given: Any) -> int:
    """The numbers that a dilated convolution makes of its input: on a CPU TensorFlow pads it and takes it apart."""
    rates = getattr(layer, "dilation_rate", 1)
    rates = (rates, rates) if isinstance(rates, int) else rates
    if max(rates) == 1 or len(given.shape) != IMAGE_AXES:
        return 0
    batch, height, width, channels = given.shape
    reach = [size * rate for size, rate in zip(layer.kernel_size, rates, strict=True)]
    return _product((batch, (height or 1) + reach[0], (width or 1) + reach[1], channels))


def load_weights(path: Path | str, key: str | None) -> tuple[NamedWeights, dict[str, Any]]:
    """The weights by layer name and the card of a `.tlt`, `.keras`, `.weights.h5` or `.h5`. No network is built.

    Raises:
        ArtifactError, VaultError, UntrustedModelError: as `load_model`.
    """
    content = plain_bytes(path, key)
    if content.startswith(HDF5_MAGIC):
        require_readable(content, path)
        weights, card = read_named_weights(content, path), {"sha256": hashlib.sha256(content).hexdigest()}
    else:
        archive = Archive(path, content)
        require_readable(archive.weights, path)
        weights, card = read_named_weights(archive.weights, path), {**archive.card, "sha256": archive.sha256}
    require_finite(weights.layers, path)
    return weights, card
