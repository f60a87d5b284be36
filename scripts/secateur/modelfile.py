"""Model files: a Keras archive with a card inside, sealed under the key. Reading one runs no code from it."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from secateur import __version__, vault
from secateur.artifacts import atomic_file
from secateur.errors import ArtifactError, ModelError, UntrustedModelError
from secateur.network import copied

CARD = "secateur.json"
MEMBERS = {"config.json", "metadata.json", "model.weights.h5", CARD}
MAX_CONFIG_BYTES = 8 << 20
MAX_TOTAL_BYTES = 2 << 30
ALLOWED_LAYERS = frozenset(
    (
        "Activation Add Average AveragePooling2D BatchNormalization Concatenate Conv2D Conv2DTranspose Cropping2D "
        "DTypePolicy Dense DepthwiseConv2D Dropout ELU Flatten Functional GlobalAveragePooling2D GlobalMaxPooling2D "
        "InputLayer LeakyReLU MaxPooling2D Maximum Minimum Multiply ReLU Reshape Softmax SpatialDropout2D Subtract "
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
    bare = copied(model)
    bare.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "model.keras"
        bare.save(archive)
        with zipfile.ZipFile(archive, "a") as members:
            members.writestr(CARD, json.dumps({"secateur": __version__, **card}))
        with open(archive, "rb") as source, atomic_file(path) as target:
            vault.seal(source, target, key)


def load_model(path: Path | str, key: str) -> tuple[keras.Model, dict[str, Any]]:
    """Read a model that `save_model` wrote, or a plain Keras archive.

    Returns:
        The uncompiled model and its card; the card is empty for an archive of another program.

    Raises:
        ArtifactError: the file cannot be read.
        VaultError: it cannot be opened with this key.
        UntrustedModelError: it holds something other than plain layers and weights.
    """
    content = _plain_bytes(path, key)
    card = _checked_card(path, content)
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "model.keras"
        archive.write_bytes(content)
        try:
            model = keras.saving.load_model(archive, compile=False)
        except (ValueError, TypeError, KeyError, OSError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(f"{path}: Keras cannot build this model: {reason}", "save it again") from error
    return model, card


def _plain_bytes(path: Path | str, key: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            start = stream.read(4)
    except OSError as error:
        raise ArtifactError(
            f"cannot read the model {path}: {error.strerror}", "check model_path in the spec"
        ) from error
    if start == b"PK\x03\x04":
        return Path(path).read_bytes()
    return vault.read_sealed(path, key)


def _checked_card(path: Path | str, content: bytes) -> dict[str, Any]:
    """Refuse anything but a small archive of allowed layers, before Keras sees it."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if len(set(names)) != len(names) or not set(names) <= MEMBERS or "config.json" not in names:
                raise UntrustedModelError(
                    f"{path}: not a Keras archive: {', '.join(names[:8])}", "save it with Keras 3"
                )
            if sum(member.file_size for member in members) > MAX_TOTAL_BYTES:
                raise UntrustedModelError(f"{path}: unpacks to more than {MAX_TOTAL_BYTES} bytes", "do not trust it")
            if archive.getinfo("config.json").file_size > MAX_CONFIG_BYTES:
                raise UntrustedModelError(
                    f"{path}: its config is larger than {MAX_CONFIG_BYTES} bytes", "do not trust it"
                )
            config = json.loads(archive.read("config.json"))
            config.pop("compile_config", None)  # loading with compile=False never looks at it
            _check_config(path, config)
            card = json.loads(archive.read(CARD)) if CARD in names else {}
    except (zipfile.BadZipFile, ValueError, AttributeError, RecursionError) as error:
        raise UntrustedModelError(f"{path}: not a Keras archive ({error})", "save it with Keras 3") from error
    return card if isinstance(card, dict) else {}


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
