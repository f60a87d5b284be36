"""The command `secateur inspect`: it prints facts about a file that may be hostile.

No code in the file is run, and no network is built from it. A separate process with limited memory and time reads it.
"""

from __future__ import annotations

import collections
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from secateur.errors import ArtifactError, NotAgeError, UntrustedModelError, names_of
from secateur.models.archive import ZIP_MAGIC, Archive
from secateur.models.h5 import HDF5_MAGIC, read_named_weights
from secateur.models.provenance import chain_of, require_in_chain
from secateur.runtime.child import ComputationError, Limits, computed
from secateur.runtime.terminal import one_line
from secateur.storage.atomic import read_json, sha256_of
from secateur.storage.regular_files import open_regular, read_regular
from secateur.vault import age
from secateur.vault.files import naming, read_encrypted

LIMITS = Limits(memory_per_byte=32)
MAX_BYTES = 2 << 30
SHOWN_CLASSES = 20
SHOWN_KINDS = 6


def inspect(path: str, key: str | None, against: list[str]) -> dict[str, Any]:
    """Read the facts about a file.

    Args:
        path: `.tlt`, `.tltb`, `.keras`, `.weights.h5`, `.h5`, `.etlt` or `.onnx`; the content decides, not the suffix.
        key: passphrase; with None an encrypted file is not decrypted.
        against: files that must belong to it: a manifest, models that it was made from, metrics of these models.

    Returns:
        Plain data: `file`, `bytes`, `encrypted`, `content`, and facts about the content.

    Raises:
        UntrustedModelError: the content breaks a rule for model files, or needs too much memory or time.
        ModelError: a file of `against` does not belong to it.
        ArtifactError, VaultError: the file cannot be read or decrypted.
    """
    try:
        size = Path(path).stat().st_size
        with open_regular(path) as stream:
            start = stream.read(200)
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}", "check the path") from error
    if size > MAX_BYTES:
        raise UntrustedModelError(f"{path}: larger than {MAX_BYTES} bytes", "do not trust it")
    about: dict[str, Any] = {"file": path, "bytes": size, "encrypted": start.startswith(age.MAGIC)}
    if about["encrypted"]:
        factor = re.search(rb"-> scrypt \S+ ([0-9]+)\n", start)
        about["scrypt_work_factor"] = int(factor[1]) if factor else None
        if key is None:
            return {**about, "content": "not read: give --key"}
        content = read_encrypted(path, key)
    else:
        content = read_regular(path)
    about |= {"sha256": hashlib.sha256(content).hexdigest(), **_described_elsewhere(content, path)}
    for other in against:
        require_in_chain(about.get("provenance", []), about["sha256"], other, *_digest_of(other, key))
    return about


def _described_elsewhere(content: bytes, path: str) -> dict[str, Any]:
    """The result of `described`, from a process with limits."""
    try:
        return dict(
            json.loads(
                computed(f"{__name__}:facts", path.encode("utf-8", "surrogateescape") + b"\0" + content, path, LIMITS)
            )
        )
    except ComputationError as error:
        raise (error.error or UntrustedModelError(f"{path}: {error}", "do not trust it")) from error


def facts(named_content: bytes) -> bytes:
    """In the other process: the result of `described` as JSON. The argument is the path, a null byte, the content."""
    path, _, content = named_content.partition(b"\0")
    return json.dumps(described(content, path.decode("utf-8", "surrogateescape"))).encode()


def described(content: bytes, path: str) -> dict[str, Any]:
    """Facts about decrypted content. Raises as `inspect`; the limits of the current process apply."""
    if content.startswith(ZIP_MAGIC):
        return _keras(content, path)
    if content.startswith(HDF5_MAGIC):
        weights = read_named_weights(content, path).layers
        return {"content": "Keras weights", "layers": len(weights), "parameters": _count(weights)}
    try:
        return _onnx(content, path)
    except UntrustedModelError as error:
        with naming(path):
            _refuse_other_containers(content)
        raise error


def _refuse_other_containers(content: bytes) -> None:
    """Raise the right error for an NVIDIA container and for an empty file."""
    if age.looks_like_nvidia(content[: len(age.MAGIC)]):
        raise age.nvidia_container()
    if not content:
        raise NotAgeError("the file is empty", "copy it again from its source")


def _count(weights: dict[str, list[Any]]) -> int:
    return sum(array.size for arrays in weights.values() for array in arrays)


def _keras(content: bytes, path: str) -> dict[str, Any]:
    archive = Archive(path, content)
    weights = archive.checked_weights()
    try:
        return _network_of(archive, weights)
    except (KeyError, AttributeError, TypeError) as error:
        raise UntrustedModelError(f"{path}: not a Keras archive ({error})", "save it with Keras 3") from error


def _network_of(archive: Archive, weights: dict[str, list[Any]]) -> dict[str, Any]:
    layers = archive.config.get("config", {}).get("layers", [])
    kinds = collections.Counter(str(layer.get("class_name")) for layer in layers)
    inputs = [layer["config"].get("batch_shape") for layer in layers if layer.get("class_name") == "InputLayer"]
    return {
        "content": "Keras model",
        "layers": len(layers),
        "kinds": dict(kinds.most_common()),
        "parameters": _count(weights),
        "input": inputs[0] if inputs else None,
        **{name: archive.card.get(name) for name in ("step", "pruned", "classes", "preprocessing", "byom")},
        "provenance": chain_of(archive.card),
    }


def _onnx(content: bytes, path: str) -> dict[str, Any]:
    from secateur.byom.onnx_file import checked_onnx  # noqa: PLC0415 - ONNX only where the file is one

    proto = checked_onnx(content, path)
    card = {}
    for entry in proto.metadata_props:
        try:
            card[entry.key] = json.loads(entry.value)
        except (ValueError, RecursionError):
            continue
    kinds = collections.Counter(node.op_type for node in proto.graph.node)
    weights = {tensor.name for tensor in proto.graph.initializer}
    return {
        "content": "ONNX model",
        "opset": next((entry.version for entry in proto.opset_import), None),
        "producer": proto.producer_name,
        "nodes": len(proto.graph.node),
        "kinds": dict(kinds.most_common()),
        "parameters": sum(_size(tensor.dims) for tensor in proto.graph.initializer),
        "input": {entry.name: _shape(entry) for entry in proto.graph.input if entry.name not in weights},
        "output": {entry.name: _shape(entry) for entry in proto.graph.output},
        "classes": card.get("classes"),
        "preprocessing": card.get("preprocessing"),
        "provenance": chain_of(card),
    }


def _size(dims: Any) -> int:
    count = 1
    for side in dims:
        count *= side
    return count


def _shape(entry: Any) -> list[Any]:
    return [side.dim_param or side.dim_value for side in entry.type.tensor_type.shape.dim]


def _digest_of(path: str, key: str | None) -> tuple[str, str]:
    """The kind and the digest of a file of `against`; for metrics, the digest of the model they were measured on."""
    try:
        if path.endswith(".csv"):
            return "manifest", sha256_of(path)
        if path.endswith(".json"):
            metrics = read_json(path, "give the metrics.json of an evaluation")
            return "metrics", str(metrics.get("model_sha256") if isinstance(metrics, dict) else None)
        content = read_regular(path)
        if content.startswith(age.MAGIC) and key is not None:
            content = read_encrypted(path, key)
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}", "check the path") from error
    return "model", hashlib.sha256(content).hexdigest()


def in_words(about: dict[str, Any]) -> str:
    """The facts for a person, one subject per line."""
    rows = {
        "encrypted": f"age v1, scrypt work factor {about['scrypt_work_factor']}" if about["encrypted"] else "no",
        "content": f"{about['content']}, {about['bytes']:,} bytes" + (", pruned" if about.get("pruned") else ""),
        "sha256": about.get("sha256"),
        "network": _network_words(about),
        "input": about.get("input"),
        "output": about.get("output"),
        "classes": _class_words(about.get("classes")),
        "preprocessing": _preprocessing_words(about.get("preprocessing")),
        "imported from": (about.get("byom") or {}).get("file") if isinstance(about.get("byom"), dict) else None,
    }
    lines = [str(about["file"]), *(f"  {name:14}{value}" for name, value in rows.items() if value)]
    for number, entry in enumerate(about.get("provenance") or []):
        lines.append(f"  {'provenance' if not number else '':14}{_link_words(entry)}")
    return "\n".join(map(one_line, lines))


def _network_words(about: dict[str, Any]) -> str:
    parts = about.get("layers") or about.get("nodes")
    if not parts:
        return ""
    kinds = names_of([f"{count} {name}" for name, count in (about.get("kinds") or {}).items()], SHOWN_KINDS)
    return f"{about['parameters']:,} parameters in {parts} {'layers' if 'layers' in about else 'nodes'}: {kinds}"


def _class_words(classes: Any) -> str:
    if not isinstance(classes, list):
        return ""
    return f"{len(classes)}: {names_of(classes, SHOWN_CLASSES)}"


def _preprocessing_words(about: Any) -> str:
    if not isinstance(about, dict):
        return ""
    words = ("preprocess_mode", "channel_order", "width", "height", "interpolation", "crop")
    return ", ".join(f"{name} {about.get(name)}" for name in words)


def _link_words(entry: dict[str, Any]) -> str:
    made_from = entry.get("manifest_sha256") or entry.get("parent_sha256")
    what = "manifest" if "manifest_sha256" in entry else "made from"
    parts = [f"{entry.get('step')!s:9}", f"{what} {str(made_from)[:12]}" if made_from else "from scratch"]
    if "images" in entry:
        parts.append(f"{entry['images']} images")
    if "spec_sha256" in entry:
        parts.append(f"spec {str(entry['spec_sha256'])[:12]}")
    if isinstance(entry.get("versions"), dict):
        parts.append(", ".join(f"{name} {number}" for name, number in entry["versions"].items()))
    return "  ".join(parts)
