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
from pathlib import Path
from typing import Any

from secateur.errors import ArtifactError, UntrustedModelError, VaultError
from secateur.models.file_card import require_card
from secateur.models.h5 import HDF5_MAGIC, read_named_weights
from secateur.models.network_config import check_config, check_sizes
from secateur.storage.regular_files import open_regular, read_regular
from secateur.vault.files import read_content

# Suffixes of models that secateur encrypts if the spec has a key.
ENCRYPTED_WITH_KEY = (".tlt", ".tltb")
CARD, WEIGHTS = "secateur.json", "model.weights.h5"
MEMBERS = {"config.json", "metadata.json", WEIGHTS, CARD}
ZIP_MAGIC = b"PK\x03\x04"
# Exceptions of `zipfile` and `json` for a damaged archive; a config with too deep nesting raises RuntimeError.
ZIP_ERRORS = (
    zipfile.BadZipFile, ValueError, RuntimeError, OSError, EOFError, KeyError, IndexError, TypeError, OverflowError,
    MemoryError, struct.error, zlib.error,
)  # fmt: skip
# JSON takes up to 25 times its size in memory.
MAX_JSON_BYTES = 8 << 20
MAX_TOTAL_BYTES = 2 << 30
MAX_RATIO = 100


def plain_bytes(path: Path | str, key: str | None) -> bytes:
    """The content of a model file, decrypted with the key if it is encrypted.

    Raises:
        ArtifactError: the file cannot be read.
        VaultError: the key is wrong or missing; or there is a key, and a file that is encrypted then is not.
    """
    try:
        with open_regular(path) as stream:
            start = stream.read(len(HDF5_MAGIC))
        if start.startswith(ZIP_MAGIC) or start == HDF5_MAGIC:
            _refuse_plain(path, key)
            return read_regular(path)
    except OSError as error:
        raise ArtifactError(
            f"cannot read the model {path}: {error.strerror}", "check model_path in the spec"
        ) from error
    return read_content(path, key)


def _refuse_plain(path: Path | str, key: str | None) -> None:
    """Whoever can write into a results folder could otherwise put another model there, without the key."""
    if key is not None and str(path).endswith(ENCRYPTED_WITH_KEY):
        raise VaultError(
            f"{path} is not encrypted, but the spec has a key",
            "if you trust the file: secateur encrypt it, or give it the suffix .keras",
        )


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
        UntrustedModelError: the file is not such an archive, has unexpected members or sizes, or its card is not valid.
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
            exported = str(path).endswith((".etlt", ".onnx"))
            hint = "it is an exported model: give the model.tlt of its run" if exported else "save it with Keras 3"
            raise UntrustedModelError(f"{path}: not a Keras archive ({error})", hint) from error
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.card = require_card(card, path)

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
        for member in members:
            if member.filename.endswith(".json") and member.file_size > MAX_JSON_BYTES:
                raise UntrustedModelError(
                    f"{self.path}: '{member.filename}' is larger than {MAX_JSON_BYTES} bytes", "do not trust it"
                )

    def checked_weights(self) -> dict[str, list[Any]]:
        """The weights by layer name. Raises UntrustedModelError for an unknown kind of layer or a wrong size."""
        if not isinstance(self.config, dict):
            raise UntrustedModelError(f"{self.path}: not a Keras archive", "save it with Keras 3")
        config = {name: part for name, part in self.config.items() if name != "compile_config"}
        try:
            check_config(self.path, config)
            weights = read_named_weights(self.weights, self.path).layers
            check_sizes(self.path, config, {name: [part.shape for part in parts] for name, parts in weights.items()})
        except (RecursionError, AttributeError, TypeError, IndexError, KeyError, ValueError) as error:
            raise UntrustedModelError(f"{self.path}: not a Keras archive ({error})", "save it with Keras 3") from error
        return weights
