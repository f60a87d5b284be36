"""Read a Parquet table of a stranger, in which a few bytes can stand for millions of long texts."""

from __future__ import annotations

import io
from typing import Any

COLUMNS = ("path", "class", "split", "group")
ROWS_AT_ONCE = 1 << 14
# Of the memory of all texts; Python adds some bytes to each, also to an empty one.
MAX_TEXT_BYTES, BYTES_A_TEXT = 1 << 30, 64


def read_parquet(content: bytes) -> dict[str, list[str]]:
    """The columns `path`, `class`, `split` and `group`, those that there are, as text; empty text for no value.

    Of a table without `path` and `class` all columns, without rows.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: the text of the table takes more than `MAX_TEXT_BYTES`.
        Exception: of pyarrow, for bytes that are not a Parquet table.
    """
    from pyarrow import parquet  # noqa: PLC0415 - an extra

    file = parquet.ParquetFile(io.BytesIO(content))
    names = file.schema_arrow.names
    wanted = [name for name in COLUMNS if name in names]
    if not {"path", "class"} <= set(wanted):
        return {name: [] for name in names}
    texts: dict[str, list[str]] = {name: [] for name in wanted}
    left = MAX_TEXT_BYTES - BYTES_A_TEXT * file.metadata.num_rows * len(wanted)
    for batch in file.iter_batches(ROWS_AT_ONCE, columns=wanted):
        for name in wanted:
            values = [_text(value) for value in batch.column(name).to_pylist()]
            left -= sum(map(len, values))
            if left < 0:
                raise ValueError(f"its text takes more than {MAX_TEXT_BYTES:,} bytes of memory")
            texts[name] += values
    return texts


def _text(value: Any) -> str:
    """Empty for no value, which is NaN in a column of numbers."""
    return "" if value is None or value != value else str(value)  # noqa: PLR0124
