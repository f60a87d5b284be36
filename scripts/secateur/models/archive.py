"""Read the Keras archive in a model file as data: without Keras, and without running code from the file.

What is refused, and why: docs/decisions/untrusted-models.md.
"""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from secateur.errors import ArtifactError, UntrustedModelError
from secateur.models.h5 import HDF5_MAGIC, read_named_weights
from secateur.models.layer_kinds import ALLOWED_LAYERS, ALLOWED_PARTS, instead_of
from secateur.vault.files import read_content

CARD, WEIGHTS = "secateur.json", "model.weights.h5"
MEMBERS = {"config.json", "metadata.json", WEIGHTS, CARD}
ZIP_MAGIC = b"PK\x03\x04"
# Exceptions of `zipfile` and `json` for a damaged archive; a config with too deep nesting raises RuntimeError.
ZIP_ERRORS = (
    zipfile.BadZipFile, ValueError, RuntimeError, OSError, EOFError, KeyError, IndexError, TypeError, OverflowError,
    MemoryError, struct.error, zlib.error,
)  # fmt: skip
MAX_CONFIG_BYTES = 8 << 20
MAX_TOTAL_BYTES = 2 << 30
MAX_RATIO = 100
MAX_PARTS = 50_000
MAX_SIDE = 65_536
# Objects in a layer's config can be any class of these modules, which hold numbers only.
ALLOWED_MODULES = ("keras.initializers", "keras.regularizers", "keras.dtype_policies")
LAYER_MODULES = ("keras.layers", "keras.src.models.functional", "keras.models", "keras")


def plain_bytes(path: Path | str, key: str | None) -> bytes:
    """The content of a model file, decrypted with the key if it is encrypted. Raises ArtifactError, VaultError."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(len(HDF5_MAGIC))
        if start.startswith(ZIP_MAGIC) or start == HDF5_MAGIC:
            return Path(path).read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"cannot read the model {path}: {error.strerror}", "check model_path in the spec"
        ) from error
    return read_content(path, key)


class Archive:
    """The members of a Keras archive, checked before Keras reads it.

    Args:
        path: of the file, for errors.
        content: decrypted.

    Attributes:
        config: of the network, as JSON data; not checked yet.
        weights: the HDF5 file inside.
        card: plain data that `save_model` stored; empty for an archive of another program.
        sha256: of `content`; it stays the same when the file is encrypted again with another key.

    Raises:
        UntrustedModelError: the file is not such an archive, or has unexpected members or sizes.
    """

    def __init__(self, path: Path | str, content: bytes) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                self._check_members(archive.infolist())
                self.config: Any = json.loads(archive.read("config.json"))
                names = archive.namelist()
                self.weights = archive.read(WEIGHTS) if WEIGHTS in names else b""
                card = json.loads(archive.read(CARD)) if CARD in names else {}
        except ZIP_ERRORS as error:
            raise UntrustedModelError(f"{path}: not a Keras archive ({error})", "save it with Keras 3") from error
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.card: dict[str, Any] = card if isinstance(card, dict) else {}

    def _check_members(self, members: list[zipfile.ZipInfo]) -> None:
        names = [member.filename for member in members]
        if any(name.endswith("custom_layers.py") for name in names):
            raise UntrustedModelError(
                f"{self.path}: holds Python code, like TAO's own .tltb files; secateur never runs code from a file",
                "convert the ONNX file: secateur byom MODEL.onnx -o MODEL.tltb",
            )
        if len(set(names)) != len(names) or not set(names) <= MEMBERS or "config.json" not in names:
            raise UntrustedModelError(
                f"{self.path}: not a Keras archive: {', '.join(names[:8])}", "save it with Keras 3"
            )
        for member in members:
            if stat.S_ISLNK(member.external_attr >> 16) or member.flag_bits & 1:
                raise UntrustedModelError(f"{self.path}: '{member.filename}' is a link or encrypted", "do not trust it")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UntrustedModelError(
                    f"{self.path}: '{member.filename}' has an unusual compression method", "do not trust it"
                )
            if member.file_size > MAX_RATIO * max(member.compress_size, 1024):
                raise UntrustedModelError(
                    f"{self.path}: '{member.filename}' is too large after unpacking", "do not trust it"
                )
        if sum(member.file_size for member in members) > MAX_TOTAL_BYTES:
            raise UntrustedModelError(f"{self.path}: unpacks to more than {MAX_TOTAL_BYTES} bytes", "do not trust it")
        if next(member.file_size for member in members if member.filename == "config.json") > MAX_CONFIG_BYTES:
            raise UntrustedModelError(
                f"{self.path}: its config is larger than {MAX_CONFIG_BYTES} bytes", "do not trust it"
            )

    def checked_weights(self) -> dict[str, list[Any]]:
        """The weights by layer name. Raises UntrustedModelError for an unknown kind of layer or a wrong size."""
        if not isinstance(self.config, dict):
            raise UntrustedModelError(f"{self.path}: not a Keras archive", "save it with Keras 3")
        config = {name: part for name, part in self.config.items() if name != "compile_config"}
        try:
            _check_config(self.path, config)
            weights = read_named_weights(self.weights, self.path).layers
            _check_sizes(self.path, config, {name: [part.shape for part in parts] for name, parts in weights.items()})
        except (RecursionError, AttributeError, TypeError, IndexError, KeyError, ValueError) as error:
            raise UntrustedModelError(f"{self.path}: not a Keras archive ({error})", "save it with Keras 3") from error
        return weights


def _check_sizes(path: Path | str, config: dict[str, Any], shapes: dict[str, list[tuple[int, ...]]]) -> None:
    """Require that the config declares the sizes of the weights: Keras allocates what the config declares."""
    parts = list(_objects(config))
    if len(parts) > MAX_PARTS:
        raise UntrustedModelError(f"{path}: more than {MAX_PARTS} parts", "do not trust it")
    for part in parts:
        options = part.get("config") or {}
        if not isinstance(options, dict):
            continue
        width, name = options.get("filters", options.get("units")), options.get("name")
        if width is not None and _stored_width(part.get("class_name"), shapes.get(str(name), [])) != width:
            raise UntrustedModelError(
                f"{path}: layer '{name}' declares {width} filters, its weights have the shapes {shapes.get(str(name))}",
                "do not trust it",
            )
        for side in options.get("batch_shape") or ():
            if side is not None and not 0 < side <= MAX_SIDE:
                raise UntrustedModelError(f"{path}: input '{name}' has a dimension of {side}", "do not trust it")


def _stored_width(kind: Any, shapes: list[tuple[int, ...]]) -> int | None:
    """The number of filters of a layer's stored kernel; None if there is no such kernel."""
    place = 1 if kind == "SeparableConv2D" else 0
    kernel = shapes[place] if len(shapes) > place else ()
    if len(kernel) < 2:
        return None
    return kernel[-2] if kind == "Conv2DTranspose" else kernel[-1]


def _check_config(path: Path | str, config: Any) -> None:
    for part in _objects(config):
        name, module = part.get("class_name"), part.get("module") or ""
        known_object = module in ALLOWED_MODULES
        known_layer = (name in ALLOWED_LAYERS or name in ALLOWED_PARTS) and module in LAYER_MODULES
        history = name in ("__keras_tensor__", "__tuple__")
        custom = part.get("registered_name") not in (None, name)
        if custom or not (known_object or known_layer or history):
            raise _no_plain_layer(path, part)


def _no_plain_layer(path: Path | str, part: dict[str, Any]) -> UntrustedModelError:
    kind, module, options = part.get("class_name"), part.get("module"), part.get("config")
    label = options.get("name") if isinstance(options, dict) else None
    holder = f"layer '{label}' is" if isinstance(label, str) else "it holds"
    return UntrustedModelError(f"{path}: {holder} '{module}.{kind}', which is not a plain layer", instead_of(str(kind)))


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """All parts of a config that Keras would turn into objects."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)
