"""The cache step: it decodes the training and the validation images once into files, if they fit."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import pandas as pd

from secateur.data.image_cache import open_image_cache, room_for_cache, size_of_cache, write_image_cache
from secateur.data.pipeline import ImageFiles, ImageReader
from secateur.errors import ArtifactError
from secateur.run import Run
from secateur.steps.context import step_context
from secateur.steps.run_images import cache_file, cache_folder
from secateur.steps.run_manifest import manifest_of
from secateur.storage.atomic import remove_leftovers, require_space, write_json
from secateur.storage.locks import locked


def cache_step(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Write the files that `data.cache` allows, and `cache/image_cache.json`.

    Returns:
        For `train` and `val`: the number of images, the bytes, and the file, or the reason why there is none.

    Raises:
        SecateurError: an image cannot be read, or a file cannot be written.
    """
    with step_context(run, "cache"):
        remove_leftovers(cache_folder(run))
        about = make_image_cache(run, stream)
        write_json(run.file("cache", "image_cache"), about)
    print(f"cache  {_words(about)}", file=stream, flush=True)
    return about


def make_image_cache(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Write the missing and the damaged files of the image cache that `data.cache` allows.

    Returns the result of the cache step. The stream receives a message about a damaged file.

    A training calls it too: it can run before the cache step, and somebody can have removed the files.
    """
    reader = ImageReader(run.spec.data, run.spec.augment, run.spec.model, run.spec.train.n_workers)
    manifest = manifest_of(run)
    # These images are read once per epoch; test images are read only once.
    rows = {split: manifest[manifest["split"] == split] for split in ("train", "val")}
    sizes = {split: _size(reader, rows[split], split == "train") for split in rows}
    there = all(cache_file(run, reader, rows[split], split == "train").exists() for split in rows)
    reason = _reason_for_none(run, 0 if there else sum(sizes.values()))
    return {
        split: {
            "images": len(rows[split]),
            "bytes": sizes[split],
            "file": None if reason else _made(run, reader, rows[split], split == "train", sizes[split], stream),
            "reason": reason,
        }
        for split in rows
    }


def _reason_for_none(run: Run, size_bytes: int) -> str:
    policy, folder = run.spec.data.cache, cache_folder(run)
    if policy == "never":
        return "data.cache is never"
    folder.mkdir(parents=True, exist_ok=True)
    if policy == "always":
        require_space(folder, size_bytes, "the image cache")
        return ""
    limit = room_for_cache(folder) if policy == "auto" else int(policy)
    return f"needs {size_bytes:,} bytes, the limit is {limit:,}" if size_bytes > limit else ""


def _size(reader: ImageReader, rows: pd.DataFrame, training: bool) -> int:
    return size_of_cache(reader, rows[["width", "height"]].to_numpy(), training)


def _made(run: Run, reader: ImageReader, rows: pd.DataFrame, training: bool, size_bytes: int, stream: IO[str]) -> str:
    path = cache_file(run, reader, rows, training)
    # Another experiment with the same images may be writing the same file.
    with locked(path.with_name(f".{path.name}.lock"), str(path), wait=True):
        if not _is_sound(path, reader, len(rows), stream):
            write_image_cache(path, ImageFiles(reader, rows["path"].tolist(), training), size_bytes)
    return str(path)


def _is_sound(path: Path, reader: ImageReader, count: int, stream: IO[str]) -> bool:
    try:
        return open_image_cache(path, reader, count) is not None
    except ArtifactError as error:
        print(f"cache  warning: {error.message}; it is written again", file=stream, flush=True)
        return False


def _words(about: dict[str, Any]) -> str:
    reason = next((entry["reason"] for entry in about.values() if entry.get("reason")), "")
    if reason:
        return f"skipped: {reason}; images are decoded in every epoch"
    return "  ".join(
        f"{split} {entry['images']} images, {entry['bytes'] / 1e6:.1f} MB" for split, entry in about.items()
    )
