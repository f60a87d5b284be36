"""The manifest: every image with its class, split and digest. The split step writes it; all later steps read it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from secateur.data.classes import labels_of
from secateur.errors import DataError
from secateur.storage.csv import read_csv

COLUMNS = ["path", "class", "split", "width", "height", "mode", "depth", "bytes", "sha256"]


def read_manifest(path: Path | str, hint: str = "run split again") -> pd.DataFrame:
    """Read a manifest; class names are always strings.

    Args:
        path: of the file.
        hint: what to do if it cannot be read.

    Raises:
        ArtifactError: the file cannot be read.
        DataError: a column is missing.
    """
    texts = ("path", "class", "split", "mode", "sha256")
    table = read_csv(path, hint, dtype=dict.fromkeys(texts, str))
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}", hint)
    return table


def rows_of_split(manifest: pd.DataFrame, split: str, classes: list[str]) -> tuple[pd.DataFrame, list[int]]:
    """The rows and class indices of the images of one split."""
    rows = manifest[manifest["split"] == split]
    return rows, labels_of(rows["class"], classes)


def measured_rows(manifest: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The rows of the test split, or of the validation split if there is no test split; and the name of that split."""
    for split in ("test", "val"):
        rows = manifest[manifest["split"] == split].reset_index(drop=True)
        if len(rows):
            return rows, split
    raise DataError("the manifest has no test and no validation images", "run split again")
