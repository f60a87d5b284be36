"""Model files: a Keras archive with a card inside, sealed under the key. Reading one runs no code from it."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
from keras.src.saving.saving_lib import _save_model_to_fileobj

from secateur import __version__, sealed, vault
from secateur.artifacts import atomic_file
from secateur.errors import ArtifactError, ModelError, UntrustedModelError
from secateur.h5weights import HDF5_MAGIC, NamedWeights, read_named_weights, require_finite
from secateur.network import copied

CARD, WEIGHTS = "secateur.json", "model.weights.h5"
MEMBERS = {"config.json", "metadata.json", WEIGHTS, CARD}
ZIP_MAGIC = b"PK\x03\x04"
MAX_CONFIG_BYTES = 8 << 20
MAX_TOTAL_BYTES = 2 << 30
MAX_RATIO = 100
MAX_PARTS = 50_000
MAX_SIDE = 65_536
ALLOWED_LAYERS = frozenset(
    (
        "Activation Add Average AveragePooling2D BatchNormalization Concatenate Conv2D Conv2DTranspose Cropping2D "
        "DTypePolicy Dense DepthwiseConv2D Dropout ELU Flatten Functional GlobalAveragePooling2D GlobalMaxPooling2D "
        "InputLayer LayerNormalization LeakyReLU MaxPooling2D Maximum Minimum Multiply ReLU Rescaling Reshape Softmax "
        "SpatialDropout2D Subtract "
        "UpSampling2D ZeroPadding2D"
    ).split()
)
# Parts of a layer's config that are objects: of these modules any class may stand, they hold numbers only.
ALLOWED_MODULES = ("keras.initializers", "keras.regularizers", "keras.dtype_policies")
LAYER_MODULES = ("keras.layers", "keras.src.models.functional", "keras.models", "keras")


def save_model(model: keras.Model, path: Path | str, key: str, card: dict[str, Any]) -> None:
    """Write a model without its optimizer, sealed, atomically.

    Args:
        model: a functional model.
        path: `.tlt` by convention.
        key: pass phrase.
        card: plain data about the model, such as `pruned` and `classes`; it is stored inside.
    """
    archive = io.BytesIO()
    # In memory: what will be sealed must not stand on a disk unsealed. Keras' public function writes to a path only.
    _save_model_to_fileobj(_bare(model), archive, "h5")
    with zipfile.ZipFile(archive, "a") as members:
        members.writestr(CARD, json.dumps({"secateur": __version__, **card}))
    archive.seek(0)
    with atomic_file(path, archive.getbuffer().nbytes) as target:
        vault.seal(archive, target, key)


def _bare(model: keras.Model) -> keras.Model:
    """Without optimizer, losses and metrics."""
    bare = copied(model)
    bare.set_weights(model.get_weights())
    return bare


def load_model(path: Path | str, key: str) -> tuple[keras.Model, dict[str, Any]]:
    """Read a model that `save_model` wrote, or a plain Keras archive.

    Returns:
        The uncompiled model and its card; the card is empty for an archive of another program.

    Raises:
        ArtifactError: the file cannot be read.
        VaultError: it cannot be opened with this key.
        UntrustedModelError: it holds something other than plain layers and finite weights.
        ModelError: Keras cannot build it.
    """
    archive = _Archive(path, plain_bytes(path, key))
    weights = archive.checked_weights()
    require_finite(weights, path)
    try:
        model = keras.saving.deserialize_keras_object({**archive.config, "compile_config": None})
    except (ValueError, TypeError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{path}: Keras cannot build this model: {reason}", "save it again") from error
    _set_weights(model, weights, path)
    return model, archive.card


def _set_weights(model: keras.Model, weights: dict[str, list[Any]], path: Path | str) -> None:
    """Every layer gets exactly the weights of its name. Raises ModelError, naming the layer."""
    holders = {layer.name: layer for layer in _all_layers(model) if layer.weights}
    apart = sorted(holders.keys() ^ weights.keys())
    if apart:
        where = "the network" if apart[0] in weights else "the file"
        raise ModelError(f"{path}: layer '{apart[0]}' has weights that {where} lacks", "save it again")
    for name, layer in holders.items():
        here, there = [tuple(weight.shape) for weight in layer.weights], [array.shape for array in weights[name]]
        if here != there:
            raise ModelError(f"{path}: layer '{name}' has the shapes {here}, its weights {there}", "save it again")
        layer.set_weights(weights[name])


def _all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)
        else:
            yield layer


def load_weights(path: Path | str, key: str) -> tuple[NamedWeights, dict[str, Any]]:
    """Weights by layer name and the card of a `.tlt`, `.keras`, `.weights.h5` or `.h5`, without building its network.

    Raises:
        ArtifactError, VaultError, UntrustedModelError: as `load_model`.
    """
    content = plain_bytes(path, key)
    if content.startswith(HDF5_MAGIC):
        weights, card = read_named_weights(content, path), {}
    else:
        archive = _Archive(path, content)
        weights, card = read_named_weights(archive.weights, path), archive.card
    require_finite(weights.layers, path)
    return weights, card


def plain_bytes(path: Path | str, key: str) -> bytes:
    """Content of a model file, opened with the key where it is sealed. Raises ArtifactError, VaultError."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(len(HDF5_MAGIC))
        if start.startswith(ZIP_MAGIC) or start == HDF5_MAGIC:
            return Path(path).read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"cannot read the model {path}: {error.strerror}", "check model_path in the spec"
        ) from error
    return sealed.read_sealed(path, key)


class _Archive:
    """The members of a Keras archive, looked at before Keras sees it (faults.md section 2)."""

    def __init__(self, path: Path | str, content: bytes) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                self._check_members(archive.infolist())
                self.config: Any = json.loads(archive.read("config.json"))
                names = archive.namelist()
                self.weights = archive.read(WEIGHTS) if WEIGHTS in names else b""
                card = json.loads(archive.read(CARD)) if CARD in names else {}
        except (zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError) as error:
            # A RecursionError of a config nested without end is a RuntimeError.
            raise UntrustedModelError(f"{path}: not a Keras archive ({error})", "save it with Keras 3") from error
        self.card: dict[str, Any] = card if isinstance(card, dict) else {}

    def _check_members(self, members: list[zipfile.ZipInfo]) -> None:
        names = [member.filename for member in members]
        if any(name.endswith("custom_layers.py") for name in names):
            raise UntrustedModelError(
                f"{self.path}: holds Python source, as TAO's own .tltb does; it is never run here",
                "convert the ONNX file: secateur byom MODEL.onnx -o MODEL.tltb",
            )
        if len(set(names)) != len(names) or not set(names) <= MEMBERS or "config.json" not in names:
            raise UntrustedModelError(
                f"{self.path}: not a Keras archive: {', '.join(names[:8])}", "save it with Keras 3"
            )
        for member in members:
            if stat.S_ISLNK(member.external_attr >> 16) or member.flag_bits & 1:
                raise UntrustedModelError(f"{self.path}: '{member.filename}' is a link or encrypted", "do not trust it")
            if member.file_size > MAX_RATIO * max(member.compress_size, 1024):
                raise UntrustedModelError(f"{self.path}: '{member.filename}' unpacks to too much", "do not trust it")
        if sum(member.file_size for member in members) > MAX_TOTAL_BYTES:
            raise UntrustedModelError(f"{self.path}: unpacks to more than {MAX_TOTAL_BYTES} bytes", "do not trust it")
        if next(member.file_size for member in members if member.filename == "config.json") > MAX_CONFIG_BYTES:
            raise UntrustedModelError(
                f"{self.path}: its config is larger than {MAX_CONFIG_BYTES} bytes", "do not trust it"
            )

    def checked_weights(self) -> dict[str, list[Any]]:
        """Weights by layer name. Raises UntrustedModelError for a layer off the list or a size that they lack."""
        if not isinstance(self.config, dict):
            raise UntrustedModelError(f"{self.path}: not a Keras archive", "save it with Keras 3")
        config = {name: part for name, part in self.config.items() if name != "compile_config"}
        try:
            _check_config(self.path, config)
            weights = read_named_weights(self.weights, self.path).layers
            _check_sizes(self.path, config, {name: [part.shape for part in parts] for name, parts in weights.items()})
        except (RecursionError, AttributeError, TypeError, IndexError) as error:
            raise UntrustedModelError(f"{self.path}: not a Keras archive ({error})", "save it with Keras 3") from error
        return weights


def _check_sizes(path: Path | str, config: dict[str, Any], shapes: dict[str, list[tuple[int, ...]]]) -> None:
    """What a config declares is allocated before the weights are read: it must be what the weights have."""
    parts = list(_objects(config))
    if len(parts) > MAX_PARTS:
        raise UntrustedModelError(f"{path}: more than {MAX_PARTS} parts", "do not trust it")
    for part in parts:
        options = part.get("config") or {}
        if not isinstance(options, dict):
            continue
        width, name = options.get("filters", options.get("units")), options.get("name")
        if width is not None:
            stored = shapes.get(str(name), [()])[0]
            axis = -2 if part.get("class_name") == "Conv2DTranspose" else -1
            if len(stored) < 2 or stored[axis] != width:
                raise UntrustedModelError(
                    f"{path}: layer '{name}' declares {width} filters, its weights have the shape {stored}",
                    "do not trust it",
                )
        for side in options.get("batch_shape") or ():
            if side is not None and not 0 < side <= MAX_SIDE:
                raise UntrustedModelError(f"{path}: input '{name}' has a side of {side}", "do not trust it")


def _check_config(path: Path | str, config: Any) -> None:
    for part in _objects(config):
        name, module = part.get("class_name"), part.get("module") or ""
        known_object = module in ALLOWED_MODULES
        known_layer = name in ALLOWED_LAYERS and module in LAYER_MODULES
        history = name in ("__keras_tensor__", "__tuple__")
        custom = part.get("registered_name") not in (None, name)
        if custom or not (known_object or known_layer or history):
            raise UntrustedModelError(
                f"{path}: holds '{module}.{name}', which is not a plain layer", "use models of plain Keras layers only"
            )


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every part of a config that Keras would turn into an object."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)
