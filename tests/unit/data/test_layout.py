"""Folders are classes or splits: by names and content, and an error where both are possible."""

import pytest
from secateur.data.layout import reading
from secateur.errors import DataError


def read(holding, plain=(), layout="auto"):
    """The reading of folders that hold folders, and of folders that hold images."""
    folders = sorted([*holding, *plain])
    found = reading("photos", "data.source", folders, lambda name: name in holding, layout)
    return found.splits, found.without_labels


@pytest.mark.parametrize(
    ("holding", "plain", "splits", "rest"),
    [
        ([], ["cat", "dog"], {}, []),
        (["cat"], ["dog"], {}, []),
        (["train", "val", "test"], [], {"train": "train", "val": "val", "test": "test"}, []),
        (["Train", "Valid"], [], {"train": "Train", "val": "Valid"}, []),
        (["train", "eval"], [], {"train": "train", "val": "eval"}, []),
        (["train", "dev", "holdout"], [], {"train": "train", "val": "dev", "test": "holdout"}, []),
        (["train", "val"], ["unlabeled"], {"train": "train", "val": "val"}, ["unlabeled"]),
        (["train", "val"], ["test"], {"train": "train", "val": "val"}, ["test"]),
        (["train"], [], {"train": "train"}, []),
        # Vehicles: a class can be called train.
        ([], ["bus", "train"], {}, []),
        ([], ["control", "test"], {}, []),
    ],
)
def test_readings(holding, plain, splits, rest):
    assert read(holding, plain) == (splits, rest)


@pytest.mark.parametrize(
    ("holding", "plain", "said"),
    [
        (["train", "val"], ["cat"], r"as 3 classes \(cat, train, val\), or as the splits train, val beside .* cat"),
        (["train", "val", "extra"], [], "can be read in two ways"),
        (["val", "test"], [], "has the splits test, val, but no train"),
        (["train", "val", "valid"], [], "two folders for val: val and valid"),
        ([], ["train", "val"], "no folders for classes in them"),
        ([], ["train", "unlabeled"], "no folders for classes in them"),
    ],
)
def test_odd_mixtures_are_errors_that_name_the_key(holding, plain, said):
    with pytest.raises(DataError, match=said) as caught:
        read(holding, plain)
    assert "data.layout: classes" in caught.value.hint


def test_the_key_decides():
    assert read(["train", "val"], ["cat"], "classes") == ({}, [])
    assert read(["train", "val"], ["cat"], "splits") == ({"train": "train", "val": "val"}, ["cat"])
    with pytest.raises(DataError, match=r"data.layout is splits, but photos has the folders cat, dog"):
        read([], ["cat", "dog"], "splits")
