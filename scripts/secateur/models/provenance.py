"""The origin of a model: a chain of links that starts at the manifest and is stored in every model file.

A link names its step, its sections of the spec, the versions of the libraries, and the digest of the file that the
step read, so that the link can be checked against that file. Digests are of decrypted content, so that a new key
breaks no chain.
"""

from __future__ import annotations

import json
import platform
import re
from importlib.metadata import version
from typing import Any

from secateur import __version__
from secateur.errors import ModelError
from secateur.models.file_card import is_link

PACKAGES = ("keras", "tensorflow", "numpy")
MAX_LINKS = 100


def versions() -> dict[str, str]:
    """The versions of this package, of Python and of the libraries that can change a result's last bits."""
    return {"secateur": __version__, "python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def require_measured_on(metrics: dict[str, Any], sha256: str, path: Any) -> None:
    """Refuse metrics of another model.

    Args:
        metrics: the content of the `metrics.json` of `evaluate`.
        sha256: digest of the model's decrypted file.
        path: of the metrics, for the error.

    Raises:
        ModelError: they were measured on another model.
    """
    if metrics.get("model_sha256") != sha256:
        raise ModelError(
            f"{path} was measured on another model ({str(metrics.get('model_sha256'))[:12]}, not {sha256[:12]})",
            "evaluate this model again",
        )


def chain_of(card: Any) -> list[dict[str, Any]]:
    """The links of a card, without entries of another shape; an empty list if the card holds something else."""
    links = card.get("provenance") if isinstance(card, dict) else None
    if not isinstance(links, list):
        return []
    return [entry for entry in links[:MAX_LINKS] if is_link(entry)]


# Keys that name files, folders, hosts or accounts.
PLACES = re.compile(r"(_path|_dir|_file|_uri)$|^(source|byom_model|classmap|results_dir|teacher|wandb|clearml|mlflow)$")
# A word of a list, a number in text, a name; paths and addresses have other characters.
WORD = re.compile(r"[A-Za-z0-9 _.,:+=<>-]*")


def without_places(value: Any) -> Any:
    """A link without the keys that name files, folders, hosts or accounts, and without texts that look like one."""
    if isinstance(value, dict):
        kept = {name: without_places(inner) for name, inner in value.items() if not PLACES.search(str(name))}
        return {
            name: inner for name, inner in kept.items() if not (isinstance(inner, str) and not WORD.fullmatch(inner))
        }
    if isinstance(value, list):
        return [without_places(inner) for inner in value if not isinstance(inner, str) or WORD.fullmatch(inner)]
    return value


def require_in_chain(chain: list[dict[str, Any]], sha256: str, path: str, kind: str, digest: str) -> None:
    """Refuse a file that does not belong to a model.

    Args:
        chain: of the model.
        sha256: of the model itself.
        path: of the other file, for the error.
        kind: `manifest`, `metrics` or `model`.
        digest: of that file; for metrics, of the model that they were measured on.

    Raises:
        ModelError: the file is another manifest, a model that is not in the chain, or metrics of such a model.
    """
    manifests = {entry.get("manifest_sha256") for entry in chain}
    models = {sha256, *(entry.get("parent_sha256") for entry in chain)}
    if digest in (manifests if kind == "manifest" else models):
        return
    words = {
        "manifest": "is not the manifest that this model was trained on",
        "metrics": "was measured on another model",
        "model": "is not a model that this one was made from",
    }
    raise ModelError(f"{path}: {words[kind]} ({digest[:12]})", "give the files of one run")


def onnx_chain(content: bytes) -> list[dict[str, Any]]:
    """The links in an ONNX file that this package wrote; an empty list if the file holds something else."""
    import onnx  # noqa: PLC0415 - only where such a file is read

    properties = {entry.key: entry.value for entry in onnx.load_model_from_string(content).metadata_props}
    try:
        return chain_of({"provenance": json.loads(properties.get("provenance", "[]"))})
    except (ValueError, RecursionError):
        return []
