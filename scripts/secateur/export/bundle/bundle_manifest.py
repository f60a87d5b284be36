"""`MANIFEST.json`: the digest of every file of the bundle. No Keras is imported, since `rekey` updates it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from secateur import __version__
from secateur.storage.atomic import read_json, sha256_of, write_json

MANIFEST = "MANIFEST.json"


def bundle_manifest(folder: Path, members: Iterable[Path], model_sha256: str) -> dict[str, Any]:
    """File -> SHA-256 and bytes.

    Args:
        folder: the names are relative to it.
        members: the files.
        model_sha256: digest of the decrypted Keras model that was exported.
    """
    return {
        "made_by": f"secateur {__version__}",
        "model_sha256": model_sha256,
        "files": {
            path.relative_to(folder).as_posix(): {"sha256": sha256_of(path), "bytes": path.stat().st_size}
            for path in members
        },
    }


def refresh_manifest(path: Path) -> None:
    """Update the digest of an encrypted file in the manifest beside it, if there is one that lists the file."""
    manifest_path = path.with_name(MANIFEST)
    if not manifest_path.is_file():
        return
    manifest = read_json(manifest_path, "remove it and run snakemake again: the step bundle writes it")
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if isinstance(files, dict) and path.name in files:
        manifest["files"][path.name] = {"sha256": sha256_of(path), "bytes": path.stat().st_size}
        write_json(manifest_path, manifest)
