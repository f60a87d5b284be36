"""CSV tables as pandas frames. This is not in `atomic`, because importing pandas takes a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from secateur.errors import ArtifactError
from secateur.storage.atomic import write_text

# With pyarrow pandas would store strings as UTF-8, but not all file names are valid UTF-8.
pd.set_option("mode.string_storage", "python")


def write_csv(path: Path | str, table: pd.DataFrame, header: bool = True) -> None:
    """Write `table` as CSV without its index, atomically."""
    write_text(path, table.to_csv(index=False, header=header, lineterminator="\n"))


def read_csv(path: Path | str, **options: Any) -> pd.DataFrame:
    """Read a CSV that `write_csv` wrote. A class called `NA` or `null` stays text.

    Raises:
        ArtifactError: the file is missing or is not CSV.
    """
    try:
        table: pd.DataFrame = pd.read_csv(path, keep_default_na=False, encoding_errors="surrogateescape", **options)
        return table
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot read {path}: {error}", "run the step that makes it again") from error
