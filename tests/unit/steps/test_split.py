"""Split: stable, stratified, without leaks; and every folder that cannot be used is refused."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from secateur.data.manifest import read_manifest
from secateur.errors import DataError, SpecError
from secateur.run import Run
from secateur.spec import parse_spec
from secateur.steps.digits import write_digits
from secateur.steps.split import split, split_step

from tests.conftest import write_jpeg


def from_source(root, more=""):
    return parse_spec(f"data: {{source: {root}{more}}}")


def from_folders(root):
    return parse_spec(
        f"data: {{train_dataset_path: {root}/train, val_dataset_path: {root}/val}}\n"
        f"evaluate: {{dataset_path: {root}/test}}"
    )


def run(spec, out):
    report = split(spec, out)
    return read_manifest(out / "manifest.csv"), report


@pytest.fixture
def three_folders(tmp_path):
    rng = np.random.default_rng(1)
    for part in ("train", "val", "test"):
        for name in ("a", "b"):
            for number in range(3):
                write_jpeg(tmp_path / "sets" / part / name / f"{number}.jpg", rng.integers(0, 256, (8, 8, 3)))
    return tmp_path / "sets"


def test_every_class_is_in_every_split(class_folders, tmp_path):
    table, report = run(from_source(class_folders), tmp_path / "out")
    assert len(table) == 24
    assert set(zip(table["split"], table["class"], strict=True)) == {
        (part, name) for part in ("train", "val", "test") for name in ("dark", "light")
    }
    assert json.loads((tmp_path / "out/classmap.json").read_text()) == {"dark": 0, "light": 1}
    assert report["images_per_split"]["train"] > report["images_per_split"]["val"]


def test_manifest_describes_each_image(class_folders, tmp_path):
    table, _ = run(from_source(class_folders), tmp_path / "out")
    assert set(zip(table["width"], table["height"], table["mode"], table["depth"], strict=True)) == {(30, 24, "RGB", 8)}
    assert table["bytes"].min() > 100
    assert table["sha256"].str.len().unique().tolist() == [64]


def test_shares_hold_on_many_images(tmp_path):
    write_digits(tmp_path / "digits", tmp_path / "digits.csv")
    table, _ = run(from_source(tmp_path / "digits", ", split: {train: 0.5, val: 0.25, test: 0.25}"), tmp_path / "out")
    assert len(table) == 1797
    shares = table["split"].value_counts(normalize=True)
    assert abs(shares["train"] - 0.5) < 0.03
    by_class = table[table["split"] == "train"]["class"].value_counts() / table["class"].value_counts()
    assert by_class.between(0.38, 0.62).all()


def test_adding_images_moves_none_of_the_others(class_folders, tmp_path):
    before, _ = run(from_source(class_folders), tmp_path / "one")
    rng = np.random.default_rng(3)
    for number in range(30):
        write_jpeg(class_folders / "dark" / f"aa{number}.jpg", rng.integers(0, 256, (9, 9, 3)))
    after, _ = run(from_source(class_folders), tmp_path / "two")
    old = after[after["path"].isin(before["path"])]
    assert old["split"].tolist() == before["split"].tolist()


def test_another_seed_divides_differently(class_folders, tmp_path):
    one, _ = run(from_source(class_folders), tmp_path / "one")
    other, _ = run(from_source(class_folders, ", split: {seed: 7}"), tmp_path / "two")
    assert one["split"].tolist() != other["split"].tolist()


def test_identical_images_are_never_in_two_splits(class_folders, tmp_path):
    for number in range(12):
        shutil.copy(class_folders / "dark" / f"{number:02d}.jpg", class_folders / "light" / f"copy{number}.jpg")
    table, report = run(from_source(class_folders), tmp_path / "out")
    assert not table["sha256"].duplicated().any()
    assert len(report["duplicates"]) == 12
    assert not any(item["same_class"] for item in report["duplicates"])


def test_folders_that_are_split_already(three_folders, tmp_path):
    shutil.copy(three_folders / "test/a/0.jpg", three_folders / "train/a/leak.jpg")
    table, report = run(from_folders(three_folders), tmp_path / "out")
    assert table["split"].value_counts().to_dict() == {"train": 6, "val": 6, "test": 6}
    assert report["duplicates"] == [
        {"path": f"{three_folders}/train/a/leak.jpg", "same_as": f"{three_folders}/test/a/0.jpg", "same_class": True}
    ]


def test_classes_that_differ_are_named_on_both_sides(three_folders, tmp_path):
    (three_folders / "val/b").rename(three_folders / "val/c")
    with pytest.raises(DataError, match=r"only in train .*: b; only in val .*: c"):
        run(from_folders(three_folders), tmp_path / "out")


def test_corrupt_images_are_all_listed(class_folders, tmp_path):
    good = (class_folders / "dark/00.jpg").read_bytes()
    (class_folders / "dark/00.jpg").write_bytes(good[: len(good) // 2])
    (class_folders / "dark/01.jpg").write_bytes(b"")
    (class_folders / "light/02.jpg").write_text("hello")
    with pytest.raises(DataError) as error:
        run(from_source(class_folders), tmp_path / "out")
    message = error.value.message
    assert message.startswith("3 image files cannot be read:")
    for part in ("dark/00.jpg: ", "runcated", "01.jpg: the file is empty", "02.jpg: not an image that can be read"):
        assert part in message
    assert len((tmp_path / "out/unreadable.csv").read_text().splitlines()) == 4
    assert not (tmp_path / "out/manifest.csv").exists()


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda root: shutil.rmtree(root / "dark"), "only one class"),
        (lambda root: (root / "none").mkdir(), "no images in the class folders none"),
        (shutil.rmtree, "cannot read the folder"),
        (lambda root: [shutil.rmtree(root / name) for name in ("dark", "light")], "no class folders"),
        (
            lambda root: [path.unlink() for path in sorted((root / "dark").iterdir())[1:]],
            "has no images of the classes",
        ),
    ],
)
def test_folders_that_cannot_be_used(class_folders, tmp_path, prepare, said):
    prepare(class_folders)
    with pytest.raises(DataError, match=said):
        run(from_source(class_folders), tmp_path / "out")


def test_num_classes_is_checked(class_folders, tmp_path):
    with pytest.raises(DataError, match="num_classes is 5"):
        run(from_source(class_folders, ", num_classes: 5"), tmp_path / "out")


def test_a_spec_without_images(tmp_path):
    with pytest.raises(SpecError, match="train_dataset_path is missing"):
        run(parse_spec("train: {}"), tmp_path / "out")


def test_numeric_and_odd_class_names(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("10", "2", "NA", "a b", "ü,x"):
        for number in range(4):
            path = tmp_path / "in" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    table, report = run(from_source(tmp_path / "in"), tmp_path / "out")
    assert report["classes"] == ["10", "2", "NA", "a b", "ü,x"]
    assert set(table["class"]) == set(report["classes"])


def said_by_split(source, tmp_path, more=""):
    """The lines of the step, and its report."""
    stream = io.StringIO()
    run_of = Run("one", from_source(source, more), tmp_path / "results/one", tmp_path / "work/one")
    report = split_step(run_of, stream)
    return stream.getvalue().splitlines(), report


def test_every_file_is_accounted_for(class_folders, tmp_path):
    """Twenty-four images, and whatever else users have in such folders."""
    dark, light = class_folders / "dark", class_folders / "light"
    for number in range(3):
        (dark / f"{number}.JXL").write_bytes(b"x")
        (class_folders / "@eaDir").mkdir(exist_ok=True)
        (class_folders / "@eaDir" / f"{number}.jpg").write_bytes(b"x")
    (light / "notes.txt").write_text("x")
    (light / "photo").write_bytes(b"x")
    (light / ".DS_Store").write_bytes(b"x")
    (class_folders / "cover.jpg").write_bytes(b"x")
    (light / "broken.jpg").write_bytes(b"x")
    shutil.copy(dark / "00.jpg", dark / "again.jpg")
    lines, report = said_by_split(class_folders, tmp_path, ", on_corrupt: skip")
    assert lines[0] == (
        "split  36 files: 24 images used; left out: of another program: @eaDir (3), with the suffix .jxl (3), "
        "beside the class folders (1), copies of other images (1), hidden (1), that cannot be read (1), with the "
        "suffix .txt (1), without a suffix (1)"
    )
    assert report["findings"]["left out"] == 10
    warned = "\n".join(report["warnings"])
    assert f"left out: with the suffix .jxl (3), such as {dark}/0.JXL; this format is not read here" in warned
    assert "left out: beside the class folders (1), such as" in warned
    assert "@eaDir" not in warned
    page = (tmp_path / "results/one/split/report.html").read_text()
    for listed in (
        f'<tr><td>of another program: @eaDir</td><td class="number">3</td><td>{class_folders}/@eaDir',
        f'<h2>Unreadable</h2><table><tbody><tr><td class="count"></td><td>{light}/broken.jpg</td>',
    ):
        assert listed in page
    assert ".txt" not in warned
    page = (tmp_path / "results/one/split/report.html").read_text()
    assert "with the suffix .jxl (3)" in page


def test_without_other_files_one_line_says_so(class_folders, tmp_path):
    lines, _ = said_by_split(class_folders, tmp_path)
    assert lines[0] == "split  24 files, all images used"


def test_a_class_of_unread_formats_is_named_with_what_it_has(class_folders, tmp_path):
    (class_folders / "phone").mkdir()
    for number in range(4):
        (class_folders / "phone" / f"{number}.jxl").write_bytes(b"x")
    with pytest.raises(DataError, match=r"class folders phone of .*; left out there: with the suffix .jxl .4."):
        run(from_source(class_folders), tmp_path / "out")


def test_linked_folders_are_a_choice(class_folders, tmp_path):
    shutil.move(class_folders / "dark", tmp_path / "elsewhere")
    (class_folders / "dark").mkdir()
    (class_folders / "dark/more").symlink_to(tmp_path / "elsewhere")
    table, _ = run(from_source(class_folders), tmp_path / "out")
    assert len(table) == 24
    with pytest.raises(DataError, match=r"class folders dark of .* left out there: linked folders .1."):
        run(from_source(class_folders, ", follow_links: False"), tmp_path / "out2")


def test_unlabelled_images_beside_splits_are_counted(three_folders, tmp_path):
    write_jpeg(three_folders / "unlabeled/1.jpg", np.full((8, 8, 3), 9))
    (three_folders / "val").rename(three_folders / "eval")
    lines, report = said_by_split(three_folders, tmp_path)
    assert report["images_per_split"] == {"train": 6, "val": 6, "test": 6}
    assert lines[0] == "split  19 files: 18 images used; left out: in folders without classes (1)"
    (three_folders / "extra").mkdir()
    with pytest.raises(DataError, match="can be read in two ways"):
        run(from_source(three_folders), tmp_path / "out")
    table, _ = run(from_source(three_folders, ", layout: splits"), tmp_path / "out")
    assert len(table) == 18


def test_of_an_archive_too_every_file_is_accounted_for(class_folders, tmp_path):
    (class_folders / "dark/one.jxl").write_bytes(b"x")
    (class_folders / "light/.hidden.jpg").write_bytes(b"x")
    archive = shutil.make_archive(str(tmp_path / "images"), "zip", class_folders)
    lines, _ = said_by_split(archive, tmp_path)
    assert lines[0] == "split  26 files: 24 images used; left out: hidden (1), with the suffix .jxl (1)"
