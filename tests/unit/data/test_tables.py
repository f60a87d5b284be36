"""Tables as people save them: separators, encodings, blanks; and that a change of an image in them is noticed."""

import csv
import shutil

import numpy as np
import pytest
from secateur.data.contents import ContentIndex, contents_digest
from secateur.data.sources import from_table
from secateur.data.tables import table_of
from secateur.errors import DataError

from tests.conftest import write_jpeg

ROWS = [("path", "class"), ("a/1.jpg", "Käse"), ("a/2.jpg", "Brot"), ("a/3.jpg", "Wein, rot")]


def joined(separator):
    quoted = [[f'"{value}"' if separator in value else value for value in row] for row in ROWS]
    return "\r\n".join(separator.join(row) for row in quoted) + "\r\n"


def read(content):
    table = table_of(content, lambda name: False)
    return [tuple(table.columns), *map(tuple, table.rows)], "; ".join(table.notes)


@pytest.mark.parametrize(
    ("separator", "said"), [(",", ""), (";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")]
)
def test_separators(separator, said):
    rows, notes = read(joined(separator).encode())
    assert rows == ROWS
    assert said in notes
    assert bool(notes) == bool(said)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", "encoded in utf-16"),
        ("utf-16-le", "encoded in utf-16-le"),
        ("utf-16-be", "encoded in utf-16-be"),
        ("utf-32", "encoded in utf-32"),
        ("cp1252", "read as Windows-1252, since it is not UTF-8"),
    ],
)
def test_encodings(encoding, said):
    rows, notes = read(joined(",").encode(encoding))
    assert (rows, notes) == (ROWS, said)


def test_the_first_line_of_excel_names_the_separator():
    assert read(b"sep=;\r\npath;class\r\na.jpg;cat\r\n")[0] == [("path", "class"), ("a.jpg", "cat")]


def test_blanks_and_capitals():
    rows, notes = read(b"Path ,CLASS, note \na.jpg , cat,x\nb.jpg,cat ,\nc.jpg,cat,y\n\n")
    assert rows[0] == ("path", "class", "note")
    assert [row[1] for row in rows[1:]] == ["cat"] * 3
    assert notes == "blanks around 3 values were removed"


def test_values_that_are_missing_are_empty():
    assert read(b"path,class,split\na.jpg,cat\n")[0][1] == ("a.jpg", "cat", "")


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"path,class\na.jpg,cat,dog\n", b'path,class\n"a.jpg', b"\xff\xfe\x00"]
)
def test_what_is_no_table_is_an_error(content):
    with pytest.raises((ValueError, csv.Error)):
        read(content)


@pytest.fixture
def labels(tmp_path):
    """A table with semicolons in Windows' encoding, whose images are in folders with UTF-8 names."""
    rng = np.random.default_rng(0)
    for number in range(3):
        write_jpeg(tmp_path / f"Käse/{number}.jpg", rng.integers(0, 256, (8, 8, 3)))
    lines = ["path;class", *(f"Käse/{number}.jpg;Käse " for number in range(3))]
    (tmp_path / "labels.csv").write_bytes("\r\n".join(lines).encode("cp1252"))
    return tmp_path / "labels.csv"


def test_a_european_table_leads_to_its_images(labels):
    listing = from_table(str(labels), "data.source")
    assert listing.classes == {"Käse"}
    assert listing.table["path"].tolist() == [str(labels.with_name("Käse") / f"{number}.jpg") for number in range(3)]
    assert len(listing.notes) == 3
    assert all(str(labels) in words for words in listing.notes)


def test_bytes_that_name_a_file_stay_bytes(labels):
    raw = "Käse".encode("cp1252").decode("utf-8", "surrogateescape")
    shutil.move(labels.with_name("Käse"), labels.with_name(raw))
    listing = from_table(str(labels), "data.source")
    assert listing.table["path"].tolist()[0] == str(labels.with_name(raw) / "0.jpg")
    assert listing.classes == {"Käse"}


def test_a_changed_image_changes_the_digest_of_such_a_table(labels, tmp_path):
    def digest():
        return contents_digest([str(labels)], ContentIndex(tmp_path / "index"))

    before = digest()
    write_jpeg(labels.with_name("Käse") / "1.jpg", np.full((8, 8, 3), 7))
    assert digest() != before


def test_a_table_without_our_columns_names_those_that_it_has(tmp_path):
    (tmp_path / "l.csv").write_text("file;label\na.jpg;cat\n")
    with pytest.raises(DataError, match="has no column path and no column class"):
        from_table(str(tmp_path / "l.csv"), "data.source")
