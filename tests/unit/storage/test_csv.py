"""Tables on disk: what was written is read, and a spreadsheet computes nothing."""

import csv

import pandas as pd
import pytest
from secateur.storage.csv import read_csv, write_csv

TEXTS = [
    "=1+1", "=cmd|' /C calc'!A0", "@SUM(1)", "+cmd", "-cmd", "\tx", "'=1", "''=1", "'", "'a", "-1", "+1.5e3", "-1'",
    "'-1", "a=b", "", "NA", "null", "=", "plain", "-", "ä=",
]  # fmt: skip


def test_texts_survive_and_none_is_a_formula(tmp_path):
    table = pd.DataFrame({"class": TEXTS, "=column": TEXTS, "number": range(len(TEXTS))})
    write_csv(tmp_path / "t.csv", table)
    read = read_csv(tmp_path / "t.csv", dtype={"class": str, "'=column": str})
    assert read.to_dict("list") == table.to_dict("list")
    with open(tmp_path / "t.csv", newline="") as stream:
        cells = [cell for row in csv.reader(stream) for cell in row]
    computed = {cell for cell in cells if cell.startswith(tuple("=+-@\t\r"))}
    assert computed == {"-1", "+1.5e3"}, "numbers only"


@pytest.mark.parametrize("values", [[-1, 2], [-0.5, 1e9], [True, False], [None, "x"]])
def test_numbers_and_absent_values_are_as_they_were(tmp_path, values):
    write_csv(tmp_path / "t.csv", pd.DataFrame({"a": values}))
    assert (tmp_path / "t.csv").read_text() == pd.DataFrame({"a": values}).to_csv(index=False)
