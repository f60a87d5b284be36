"""Class maps: docs/decisions/class-order.md."""

import json

import pytest
from secateur.data.classes import read_classmap
from secateur.errors import DataError


def written(tmp_path, mapping):
    path = tmp_path / "classmap.json"
    path.write_text(json.dumps(mapping))
    return path


def test_names_are_in_index_order_and_in_nfc(tmp_path):
    assert read_classmap(written(tmp_path, {"b": 1, "cafe\u0301": 0})) == ["caf\u00e9", "b"]


@pytest.mark.parametrize("name", ["", "a\nb", "a\0b", "\x1b[31ma", "\ud800", "a\udcff", "a\u2028b"])
def test_a_name_that_no_class_can_have_is_refused(tmp_path, name):
    with pytest.raises(DataError, match=r"classmap\.json: the class .* has a line break in its name"):
        read_classmap(written(tmp_path, {name: 0, "b": 1}))


def test_one_name_in_two_encodings_is_refused(tmp_path):
    with pytest.raises(DataError, match="two classes have the same name"):
        read_classmap(written(tmp_path, {"cafe\u0301": 0, "caf\u00e9": 1}))
