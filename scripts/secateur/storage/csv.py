"""CSV tables as pandas frames. This is not in `atomic`, because importing pandas takes a second."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from secateur.errors import ArtifactError
from secateur.storage.atomic import write_text
from secateur.storage.regular_files import open_regular

# With pyarrow pandas would store strings as UTF-8, but not all file names are valid UTF-8.
pd.set_option("mode.string_storage", "python")


# A spreadsheet computes a cell that begins so, which can start a program. A quote in front makes it text.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


def write_csv(path: Path | str, table: pd.DataFrame, header: bool = True) -> None:
    """Write `table` as CSV without its index, atomically. Text that a spreadsheet would compute gets a quote."""
    shielded = _each_text(table, _shielded)
    write_text(path, shielded.to_csv(index=False, header=header, lineterminator="\n"))


def read_csv(path: Path | str, hint: str = "run the step that makes it again", **options: Any) -> pd.DataFrame:
    """Read a CSV that `write_csv` wrote. A class called `NA` or `null` stays text.

    Args:
        path: of the file.
        hint: what to do if it cannot be read.
        options: of `pandas.read_csv`.

    Raises:
        ArtifactError: the file is missing or is not CSV.
    """
    reading = {"keep_default_na": False, "encoding_errors": "surrogateescape", **options}
    try:
        with open_regular(path) as stream:
            return _each_text(pd.read_csv(stream, **reading), _unshielded)
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}", hint) from error
    except (ValueError, OverflowError) as error:
        raise ArtifactError(f"{path} is damaged, it is not this table: {str(error).strip()}", hint) from error


def _each_text(table: pd.DataFrame, change: Callable[[Any], Any]) -> pd.DataFrame:
    """The table with a function applied to all texts, the names of the columns included."""
    found = table.rename(columns=change)
    for place, kind in enumerate(table.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            found.isetitem(place, table.iloc[:, place].map(change).array)
    return found


def _shielded(value: Any) -> Any:
    computed = isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value)
    return f"'{value}" if computed else value


def _unshielded(value: Any) -> Any:
    return value[1:] if isinstance(value, str) and value.startswith("'") and FORMULA.match(value) else value
