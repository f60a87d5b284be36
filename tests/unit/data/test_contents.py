"""Which changes of images are changes: their content, not their times or the place where they are."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from secateur.data import contents
from secateur.data.contents import ContentIndex, contents_digest


@pytest.fixture
def index(tmp_path):
    return tmp_path / "cache/images.index"


@pytest.fixture
def bitmaps(tmp_path):
    """BMP files: two images of one size have files of one size."""
    for name, level in (("dark", 60), ("light", 190)):
        for number in range(3):
            path = tmp_path / "images" / name / f"{number}.bmp"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8, 3), level + number, np.uint8)).save(path)
    return tmp_path / "images"


def digest(place, index):
    """As another process would find it: the index is read again."""
    return contents_digest([str(place)], ContentIndex(index))


def in_place(path, pixels):
    """Another image under the same name, of the same size, with the same time of change."""
    about = path.stat()
    Image.fromarray(pixels).save(path)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (about.st_size, about.st_mtime_ns)


def test_an_image_that_was_taken_again_is_noticed(bitmaps, index):
    before = digest(bitmaps, index)
    in_place(bitmaps / "dark/0.bmp", np.full((8, 8, 3), 7, np.uint8))
    assert digest(bitmaps, index) != before


def test_labels_that_were_corrected_by_swapping_files_are_noticed(bitmaps, index):
    before = digest(bitmaps, index)
    one, two = bitmaps / "dark/0.bmp", bitmaps / "light/0.bmp"
    one.rename(bitmaps / "aside"), two.rename(one), (bitmaps / "aside").rename(two)
    assert digest(bitmaps, index) != before


def test_another_time_of_the_same_bytes_is_no_change(bitmaps, index):
    before = digest(bitmaps, index)
    for path in bitmaps.rglob("*.bmp"):
        os.utime(path, (1, 1))
    assert digest(bitmaps, index) == before
    assert digest(bitmaps, index.with_name("another")) == before


def test_another_folder_with_the_same_images_is_no_change(bitmaps, index, tmp_path):
    before = digest(bitmaps, index)
    shutil.copytree(bitmaps, tmp_path / "copied")
    assert digest(tmp_path / "copied", index) == before
    bitmaps.rename(tmp_path / "renamed")
    assert digest(f"{tmp_path}/renamed/", index) == before


def test_new_renamed_and_deleted_images_are_changes(bitmaps, index):
    found = {digest(bitmaps, index)}
    shutil.copy(bitmaps / "dark/0.bmp", bitmaps / "dark/new.bmp")
    found.add(digest(bitmaps, index))
    (bitmaps / "dark/new.bmp").rename(bitmaps / "dark/newer.bmp")
    found.add(digest(bitmaps, index))
    (bitmaps / "dark/newer.bmp").rename(bitmaps / "light/newer.bmp")
    found.add(digest(bitmaps, index))
    (bitmaps / "light/1.bmp").unlink()
    found.add(digest(bitmaps, index))
    assert len(found) == 5


def test_hidden_files_are_not_the_users_images(bitmaps, index):
    before = digest(bitmaps, index)
    (bitmaps / ".DS_Store").write_bytes(b"x")
    assert digest(bitmaps, index) == before


@pytest.fixture(params=["csv", "parquet"])
def table(bitmaps, request):
    paths = sorted(bitmaps.rglob("*.bmp"))
    rows = pd.DataFrame({"path": [str(p.relative_to(bitmaps)) for p in paths], "class": [p.parent.name for p in paths]})
    target = bitmaps / f"all.{request.param}"
    rows.to_csv(target, index=False) if request.param == "csv" else rows.to_parquet(target)
    return target


def test_an_image_of_a_table_that_was_replaced_or_deleted_is_noticed(table, bitmaps, index, tmp_path):
    before = digest(table, index)
    in_place(bitmaps / "dark/0.bmp", np.full((8, 8, 3), 7, np.uint8))
    replaced = digest(table, index)
    (bitmaps / "light/2.bmp").unlink()
    assert len({before, replaced, digest(table, index)}) == 3


def test_a_table_of_the_same_images_elsewhere_is_no_change(table, bitmaps, index, tmp_path):
    before = digest(table, index)
    os.utime(bitmaps / "dark/0.bmp", (1, 1))
    bitmaps.rename(tmp_path / "renamed")
    assert digest(tmp_path / "renamed" / table.name, index) == before


def test_a_row_and_a_class_of_a_table_count(table, index):
    if table.suffix == ".parquet":
        pytest.skip("the same for both")
    found = {digest(table, index)}
    text = table.read_text()
    table.write_text(text.replace("dark/0.bmp,dark", "dark/0.bmp,light"))
    found.add(digest(table, index))
    table.write_text(text.replace("dark/0.bmp,dark\n", ""))
    found.add(digest(table, index))
    assert len(found) == 3


@pytest.mark.parametrize("content", [b"", b"first", b"a,b\n1,2\n", b"\xff\xfe\x00", b'path,class\n"open'])
def test_what_is_no_table_counts_by_its_bytes(tmp_path, index, content):
    path = tmp_path / "all.csv"
    path.write_bytes(content)
    before = digest(path, index)
    path.write_bytes(content + b"x")
    assert digest(path, index) != before


def test_an_archive_counts_by_its_bytes_and_not_by_its_name(tmp_path, index):
    (tmp_path / "a.zip").write_bytes(b"first")
    before = digest(tmp_path / "a.zip", index)
    (tmp_path / "a.zip").rename(tmp_path / "b.zip")
    assert digest(tmp_path / "b.zip", index) == before
    (tmp_path / "b.zip").write_bytes(b"other")
    assert digest(tmp_path / "b.zip", index) != before


def test_a_missing_place_and_files_that_cannot_be_read_have_a_digest_too(tmp_path, bitmaps, index):
    missing = digest(tmp_path / "nowhere", index)
    assert missing != digest(bitmaps, index)
    before = digest(bitmaps, index)
    (bitmaps / "dark/link.bmp").symlink_to(tmp_path / "nowhere.bmp")
    assert digest(bitmaps, index) != before


def test_a_file_is_read_once(bitmaps, index, monkeypatch):
    read = []
    real = contents.sha256_of
    monkeypatch.setattr(contents, "sha256_of", lambda path: read.append(path) or real(path))
    before = digest(bitmaps, index)
    assert len(read) == 6
    assert digest(bitmaps, index) == before
    assert len(read) == 6
    bitmaps.rename(bitmaps.with_name("renamed"))
    assert digest(bitmaps.with_name("renamed"), index) == before
    assert len(read) == 6, "of a renamed folder nothing is read"


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"abc\n", b"1.2.3.4 short\n"])
def test_a_damaged_index_is_not_believed(bitmaps, index, content):
    before = digest(bitmaps, index)
    index.write_bytes(content)
    assert digest(bitmaps, index) == before


def test_an_index_that_cannot_be_written_costs_time_only(bitmaps, tmp_path):
    (tmp_path / "file").write_text("")
    assert digest(bitmaps, tmp_path / "file/images.index") == digest(bitmaps, tmp_path / "cache/images.index")


def test_two_processes_keep_what_both_know(bitmaps, index):
    one, two = ContentIndex(index), ContentIndex(index)
    one.digests([str(bitmaps / "dark/0.bmp")])
    two.digests([str(bitmaps / "dark/1.bmp")])
    assert len(ContentIndex(index).known) == 2


def test_progress_is_said_where_there_are_many(bitmaps, index, monkeypatch):
    monkeypatch.setattr(contents, "FILES_BETWEEN_LINES", 3)
    said = []
    contents_digest([str(bitmaps)], ContentIndex(index, said.append))
    assert said == ["3 of 6 new image files read", "6 of 6 new image files read"]
