"""The cache step: packs of the training and the validation images, where they fit; and their use."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import pandas as pd

from secateur.data.image_cache import open_pack, pack_path, room_for_packs, size_of_pack, write_pack
from secateur.data.manifest import read_manifest
from secateur.data.pipeline import ImageFiles, ImageReader, Images
from secateur.run import Run
from secateur.steps.context import working
from secateur.storage.atomic import require_space, write_json
from secateur.storage.locks import locked
from secateur.workflow.staleness import code_digest


def images_of(run: Run, reader: ImageReader, rows: pd.DataFrame, training: bool = False) -> Images:
    """The images of these rows of the manifest: out of their pack where there is one, else decoded when needed.

    Raises:
        ArtifactError: a pack is damaged.
    """
    if run.spec.data.cache != "never":
        packed = open_pack(_pack(run, reader, rows, training), reader, len(rows))
        if packed is not None:
            return packed
    return ImageFiles(reader, rows["path"].tolist(), training)


def cache_step(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Make the packs that `data.cache` allows, and write `cache/packs.json`.

    Returns:
        For `train` and `val`: images, bytes, and the file, or why there is none.

    Raises:
        SecateurError: with what is wrong and what to do.
    """
    with working(run, "cache"):
        reader = ImageReader(run.spec.data, run.spec.augment, run.spec.model, run.spec.train.n_workers)
        manifest = read_manifest(run.manifest)
        # Once an epoch each; test images are read once.
        rows = {split: manifest[manifest["split"] == split] for split in ("train", "val")}
        sizes = {split: _size(reader, rows[split], split == "train") for split in rows}
        reason = _reason_for_none(run, sum(sizes.values()))
        about = {
            split: {
                "images": len(rows[split]),
                "bytes": sizes[split],
                "file": None if reason else _packed(run, reader, rows[split], split == "train", sizes[split]),
                "reason": reason,
            }
            for split in rows
        }
        write_json(run.results / "cache" / "packs.json", about)
    print(f"cache  {_words(about)}", file=stream, flush=True)
    return about


def _pack(run: Run, reader: ImageReader, rows: pd.DataFrame, training: bool) -> Path:
    return pack_path(_folder(run), reader, rows["sha256"].tolist(), training, code_digest("pack"))


def _folder(run: Run) -> Path:
    """All experiments share what is equal."""
    return run.work.parent / "cache"


def _reason_for_none(run: Run, size_bytes: int) -> str:
    policy, folder = run.spec.data.cache, _folder(run)
    if policy == "never":
        return "data.cache is never"
    folder.mkdir(parents=True, exist_ok=True)
    if policy == "always":
        require_space(folder, size_bytes, "packs of images")
        return ""
    limit = room_for_packs(folder) if policy == "auto" else int(policy)
    return f"{size_bytes:,} bytes are more than {limit:,}" if size_bytes > limit else ""


def _size(reader: ImageReader, rows: pd.DataFrame, training: bool) -> int:
    return size_of_pack(reader, rows[["width", "height"]].to_numpy(), training)


def _packed(run: Run, reader: ImageReader, rows: pd.DataFrame, training: bool, size_bytes: int) -> str:
    path = _pack(run, reader, rows, training)
    # Another experiment with the same images may be about to make it.
    with locked(path.with_name(f".{path.name}.lock"), str(path), wait=True):
        if not path.exists():
            write_pack(path, ImageFiles(reader, rows["path"].tolist(), training), size_bytes)
    return str(path)


def _words(about: dict[str, Any]) -> str:
    reason = next((entry["reason"] for entry in about.values() if entry.get("reason")), "")
    if reason:
        return f"none: {reason}; images are decoded in every epoch"
    return "  ".join(
        f"{split} {entry['images']} images, {entry['bytes'] / 1e6:.1f} MB" for split, entry in about.items()
    )
