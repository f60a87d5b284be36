"""The images of a run: from the image cache, or decoded when needed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from secateur.data.image_cache import cache_path, open_image_cache
from secateur.data.pipeline import ImageFiles, ImageReader, Images
from secateur.run import Run
from secateur.runtime.code_digest import code_digest


def images_of(run: Run, reader: ImageReader, rows: pd.DataFrame, training: bool = False) -> Images:
    """The images of these rows of the manifest: from the image cache if they are there, else decoded when needed.

    Raises:
        ArtifactError: the cached file is damaged.
    """
    if run.spec.data.cache != "never":
        cached = open_image_cache(cache_file(run, reader, rows, training), reader, len(rows))
        if cached is not None:
            return cached
    return ImageFiles(reader, rows["path"].tolist(), training)


def cache_folder(run: Run) -> Path:
    """The folder of the image cache, which all experiments share."""
    return run.work.parent / "cache"


def cache_file(run: Run, reader: ImageReader, rows: pd.DataFrame, training: bool) -> Path:
    """The path of the image cache file for these rows. The file need not exist."""
    code = code_digest("secateur.data.pipeline")
    return cache_path(cache_folder(run), reader, rows["sha256"].tolist(), training, code)
