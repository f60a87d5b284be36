"""Read a table of labels as people save it: any usual separator, encoding and spelling of the columns."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable
from dataclasses import dataclass

COLUMNS = ("path", "class", "split", "group")
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
# Excel's first line, which names the separator.
SEPARATOR_LINE = "sep="
# The longest first: the mark of UTF-32 begins with that of UTF-16.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What Excel writes in Western Europe and America if nobody asks for UTF-8.
WESTERN = "cp1252"


@dataclass(frozen=True)
class Table:
    """The rows of a table.

    Attributes:
        columns: names, those of COLUMNS in small letters.
        rows: the values of each row, as many as there are columns.
        notes: what is unusual about the file, in words; empty for a CSV in UTF-8 with commas.
    """

    columns: list[str]
    rows: list[list[str]]
    notes: list[str]


def table_of(content: bytes, exists: Callable[[str], bool]) -> Table:
    """Read a table from the content of a text file. Blanks around values are removed.

    Args:
        content: of the file.
        exists: whether the table can name an image so; decides how names are read that are not UTF-8.

    Raises:
        ValueError: it is no text, has no header, or a row has more values than the header.
        csv.Error: the quotes are not closed, or a value is very long.
    """
    text, encoding = _text(content)
    first, _, rest = text.partition("\n")
    if first.lower().startswith(SEPARATOR_LINE):
        separator, text = first[len(SEPARATOR_LINE) :].strip("\r") or ",", rest
    else:
        separator = _separator(first)
    lines = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator[:1], strict=True) if row]
    if not lines:
        raise ValueError("the table is empty")
    columns = [name.strip().casefold() if name.strip().casefold() in COLUMNS else name.strip() for name in lines[0]]
    rows = [_filled(row, len(columns), line) for line, row in enumerate(lines[1:], 2)]
    trimmed = sum(value != value.strip() for row in rows for value in row)
    rows = [[value.strip() for value in row] for row in rows]
    western = _read_as_western(columns, rows, exists) if encoding == WESTERN else 0
    turned = _turn_backslashes(columns, rows, exists)
    return Table(columns, rows, _notes(separator, encoding if encoding != WESTERN or western else "", trimmed, turned))


def _text(content: bytes) -> tuple[str, str]:
    """The text and its encoding: WESTERN for bytes that are not UTF-8, which are kept in the text as surrogates."""
    for mark, name in MARKS:
        if content.startswith(mark):
            return content.decode(name), name
    start = content[:64]
    if start[1::2].count(0) > len(start) // 4 or start[::2].count(0) > len(start) // 4:
        name = "utf-16-le" if start[1::2].count(0) > start[::2].count(0) else "utf-16-be"
        return content.decode(name), name
    try:
        return content.decode("utf-8"), ""
    except UnicodeDecodeError:
        return content.decode("utf-8", "surrogateescape"), WESTERN


def _separator(header: str) -> str:
    """The separator with which the header names most of our columns; the comma if none does."""

    def known(separator: str) -> int:
        return len({name.strip(' \r"').casefold() for name in header.split(separator)} & set(COLUMNS))

    return max(SEPARATORS, key=known)


def _filled(row: list[str], columns: int, line: int) -> list[str]:
    if len(row) > columns:
        raise ValueError(f"row {line} has {len(row)} values, more than the first line has column names ({columns})")
    return [*row, *[""] * (columns - len(row))]


def _read_as_western(columns: list[str], rows: list[list[str]], exists: Callable[[str], bool]) -> int:
    """Read values that are not UTF-8 in Windows' encoding; a path only if it names an image then. Returns how many."""
    changed = 0
    for row in rows:
        for place, value in enumerate(row):
            as_western = _western(value)
            is_path = columns[place] == "path"
            if as_western != value and not (is_path and exists(value) and not exists(as_western)):
                row[place] = as_western
                changed += 1
    return changed


def _turn_backslashes(columns: list[str], rows: list[list[str]], exists: Callable[[str], bool]) -> int:
    """Read the backslashes of Windows in paths as `/`, where this names an image and the path does not."""
    turned = 0
    for row in rows:
        for place, value in enumerate(row):
            path = value.replace("\\", "/")
            if columns[place] == "path" and path != value and exists(path) and not exists(value):
                row[place] = path
                turned += 1
    return turned


def _western(value: str) -> str:
    if not any("\udc80" <= letter <= "\udcff" for letter in value):
        return value
    try:
        return value.encode("utf-8", "surrogateescape").decode(WESTERN)
    except UnicodeError:
        return value


def _notes(separator: str, encoding: str, trimmed: int, turned: int) -> list[str]:
    notes = []
    if separator != ",":
        notes.append(f"its values are separated by {SEPARATORS.get(separator, repr(separator))}")
    if encoding and encoding != "utf-8-sig":
        notes.append("read as Windows-1252, since it is not UTF-8" if encoding == WESTERN else f"encoded in {encoding}")
    if trimmed:
        notes.append(f"blanks around {trimmed:,} values were removed")
    if turned:
        notes.append(f"backslashes in {turned:,} paths were read as /")
    return notes
