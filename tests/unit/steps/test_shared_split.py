"""Splits that experiments share."""

import io
import os
import shutil

import pytest
import yaml
from secateur.run import Run
from secateur.spec import load_spec
from secateur.steps.split import split_step


@pytest.fixture
def run_of_name(tmp_path, class_folders):
    def make(name, **data):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"data": {"source": str(class_folders), "preprocess_mode": "tf", **data}}))
        return Run(name, load_spec(path), tmp_path / "results" / name, tmp_path / "work" / name)

    return make


def words_of(run):
    stream = io.StringIO()
    split_step(run, stream)
    return stream.getvalue()


def files_of(run):
    return {path.name: path.read_bytes() for path in (run.results / "split").iterdir() if path.is_file()}


def test_the_second_takes_over_what_the_first_found(run_of_name):
    first, second = run_of_name("a"), run_of_name("b")
    assert "the same images" not in words_of(first)
    assert f"the same images as {first.results / 'split'}" in words_of(second)
    assert files_of(first) == files_of(second)
    assert "manifest.csv" in files_of(second)


def test_who_comes_again_has_the_images_examined_again(run_of_name):
    first, second = run_of_name("a"), run_of_name("b")
    words_of(first), words_of(second)
    assert "the same images" not in words_of(second)
    assert "the same images as" in words_of(first)


def test_other_images_and_other_sections_are_not_the_same_other_times_are(run_of_name, class_folders):
    words_of(run_of_name("a"))
    assert "the same images" not in words_of(run_of_name("b", split={"train": 0.5, "val": 0.25, "test": 0.25}))
    os.utime(class_folders / "dark/00.jpg", (1, 1))
    assert "the same images as" in words_of(run_of_name("c"))
    shutil.copy(class_folders / "dark/01.jpg", class_folders / "dark/new.jpg")
    assert "the same images" not in words_of(run_of_name("d"))


def test_a_split_that_failed_is_not_shared(run_of_name, class_folders):
    good = (class_folders / "dark/00.jpg").read_bytes()
    (class_folders / "dark/00.jpg").write_bytes(b"\0" * len(good))
    with pytest.raises(Exception, match="cannot be read"):
        words_of(run_of_name("a"))
    with pytest.raises(Exception, match="cannot be read"):
        words_of(run_of_name("b"))
