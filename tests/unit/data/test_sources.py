"""Every kind of source, on a local disk, in memory and behind HTTP."""

import functools
import http.server
import io
import json
import os
import shutil
import tarfile
import threading
import zipfile
from itertools import product
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from secateur.data.contents import ContentIndex, contents_digest
from secateur.data.images import image_files
from secateur.data.left_out import LeftOut
from secateur.data.manifest import read_manifest
from secateur.data.pipeline import ImageReader
from secateur.data.sources import from_voc
from secateur.errors import DataError
from secateur.spec import parse_spec
from secateur.steps.split import split

from tests.conftest import write_jpeg


def spec_of(source, **data):
    return parse_spec(json.dumps({"data": {"source": str(source), **data}}))


def run(source, out, **data):
    report = split(spec_of(source, **data), out / "split", out / "unpacked")
    return read_manifest(out / "split/manifest.csv"), report


def refused(source, out, **data):
    with pytest.raises(DataError) as error:
        run(source, out, **data)
    assert error.value.exit_code == 3
    return str(error.value)


def names(table):
    return {(Path(path).name, label) for path, label in zip(table["path"], table["class"], strict=True)}


@pytest.fixture
def local(class_folders, tmp_path):
    return names(run(class_folders, tmp_path / "local")[0])


@pytest.mark.parametrize(("train", "val"), [("train", "val"), ("Training", "validation"), ("train", "valid")])
def test_folders_that_are_split_already(class_folders, tmp_path, train, val):
    root = tmp_path / "sets"
    (root / val).mkdir(parents=True)
    (root / train).mkdir()
    for folder in class_folders.iterdir():
        files = sorted(folder.iterdir())
        for number, path in enumerate(files):
            part = root / (val if number < 3 else train) / folder.name
            part.mkdir(exist_ok=True)
            path.rename(part / path.name)
    table, report = run(root, tmp_path / "out")
    assert report["images_per_split"] == {"train": 18, "val": 6}
    assert (table["path"].str.contains(f"/{val}/") == table["split"].eq("val")).all()


def test_no_validation_folder_takes_a_share_of_training(class_folders, tmp_path):
    root = tmp_path / "sets"
    root.mkdir()
    class_folders.rename(root / "train")
    for name in ("dark", "light"):
        (root / "test" / name).mkdir(parents=True)
        (root / "train" / name / "00.jpg").rename(root / "test" / name / "00.jpg")
    table, report = run(root, tmp_path / "out")
    assert report["images_per_split"]["test"] == 2
    assert report["images_per_split"]["val"] >= 2
    assert set(table[table["split"] == "test"]["path"].str.split("/").str[-3]) == {"test"}


def test_a_class_may_be_called_train(class_folders, tmp_path):
    (class_folders / "dark").rename(class_folders / "train")
    _, report = run(class_folders, tmp_path / "out")
    assert report["classes"] == ["light", "train"]
    assert "the class 'train' has the name of a split" in report["warnings"]


def table_rows(class_folders):
    return [(f"{path.parent.name}/{path.name}", path.parent.name) for path in sorted(class_folders.rglob("*.jpg"))]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_table(class_folders, tmp_path, local, suffix):
    frame = pd.DataFrame(table_rows(class_folders), columns=["path", "class"])
    if suffix == ".csv":
        # As spreadsheets write it.
        frame.to_csv(class_folders / "all.csv", index=False, encoding="utf-8-sig", lineterminator="\r\n")
    else:
        frame.to_parquet(class_folders / "all.parquet")
    table, _ = run(class_folders / f"all{suffix}", tmp_path / "out")
    assert names(table) == local
    assert all(os.path.isfile(path) for path in table["path"])


def test_table_places_images_as_the_folder_would(class_folders, tmp_path):
    frame = pd.DataFrame(table_rows(class_folders), columns=["path", "class"])
    frame.to_csv(class_folders / "all.csv", index=False)
    by_table, _ = run(class_folders / "all.csv", tmp_path / "one")
    by_folder, _ = run(class_folders, tmp_path / "two")
    assert by_table.equals(by_folder)


def test_table_with_splits(class_folders, tmp_path):
    rows = [(*row, ("train", "valid", "TEST")[number % 3]) for number, row in enumerate(table_rows(class_folders))]
    pd.DataFrame(rows, columns=["path", "class", "split"]).to_csv(class_folders / "all.csv", index=False)
    table, report = run(class_folders / "all.csv", tmp_path / "out")
    assert report["images_per_split"] == {"train": 8, "val": 8, "test": 8}
    wanted = {f"{class_folders}/{path}": {"valid": "val"}.get(part, part.lower()) for path, _, part in rows}
    assert dict(zip(table["path"], table["split"], strict=True)) == wanted


def test_groups_stay_together(class_folders, tmp_path):
    rows = [(*row, f"patient {number % 8}") for number, row in enumerate(table_rows(class_folders))]
    pd.DataFrame(rows, columns=["path", "class", "group"]).to_csv(class_folders / "all.csv", index=False)
    table, report = run(class_folders / "all.csv", tmp_path / "out")
    group = {path: name for path, _, name in rows}
    table["group"] = ["/".join(path.split("/")[-2:]) for path in table["path"]]
    table["group"] = table["group"].map(group)
    assert (table.groupby("group")["split"].nunique() == 1).all()
    assert set(report["images_per_split"]) == {"train", "val", "test"}
    assert set(zip(table["split"], table["class"], strict=True)) >= set(product(("train", "val"), ("dark", "light")))


def test_groups_that_a_table_tears_apart_are_told(class_folders, tmp_path):
    rows = [(*row, ("train", "val")[number % 2], "one") for number, row in enumerate(table_rows(class_folders))]
    pd.DataFrame(rows, columns=["path", "class", "split", "group"]).to_csv(class_folders / "all.csv", index=False)
    _, report = run(class_folders / "all.csv", tmp_path / "out")
    assert report["findings"]["group in two splits"] == 24
    assert any("images of one group into two splits" in words for words in report["warnings"])


def test_folders_below_a_class_are_groups_on_request(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        for group in range(6):
            for number in range(4):
                write_jpeg(tmp_path / f"images/{label}/{group}/{number}.jpg", rng.integers(0, 256, (9, 9, 3)))
    together, _ = run(tmp_path / "images", tmp_path / "one", group="folder")
    apart, _ = run(tmp_path / "images", tmp_path / "two")
    folders = [str(Path(path).parent) for path in together["path"]]
    assert (together.groupby(folders)["split"].nunique() == 1).all()
    assert (apart.groupby(folders)["split"].nunique() > 1).any()
    pd.DataFrame([("a/0/0.jpg", "a"), ("b/0/0.jpg", "b")], columns=["path", "class"]).to_csv(
        tmp_path / "images/all.csv", index=False
    )
    assert "give a table a column `group`" in refused(tmp_path / "images/all.csv", tmp_path / "three", group="folder")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,label\na.jpg,x\n", "has no column path and no column class; it has 'file', 'label'"),
        ("path,class\na.jpg,\n", "line 2: a.jpg"),
        ("path,class\na.jpg,x\na.jpg,y\n", "name an image that an earlier row also names"),
        ("path,class,split\na.jpg,x,tarin\n", "have a split other than train, val and test"),
        ("path,class,split\na.jpg,x,train\nb.jpg,x,\n", "1 rows have no split, but other rows have one"),
        ("path,class\na.jpg,x,y\nb.jpg,x,y\n", "row 2 has 3 values, more than the first line has column names (2)"),
        ("path,class\na.jpg,x\nb,c.jpg,x\n", "row 3 has 3 values"),
        ("path,class,class\na.jpg,x,y\n", "has several columns class"),
        ("path,class\n", "has no rows"),
        ("path,class\na.jpg,x\n./a.jpg,y\n", "name an image that an earlier row also names"),
        ("", "cannot read"),
        ('path,class\n"a\nb.jpg,x\n', "cannot read"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, said):
    (tmp_path / "all.csv").write_text(text)
    assert said in refused(tmp_path / "all.csv", tmp_path / "out")


def test_columns_that_are_not_used_and_paths_of_windows_are_noted(class_folders, tmp_path, local):
    rows = ["\t".join([path.replace("/", "\\"), label, "val"]) for path, label in table_rows(class_folders)]
    (class_folders / "all.tsv").write_text("\n".join(["path\tclass\tSet", *rows]))
    table, report = run(class_folders / "all.tsv", tmp_path / "out")
    assert names(table) == local
    said = "\n".join(report["notes"])
    assert "its columns 'Set' are not used" in said
    assert "backslashes in 24 paths were read as /" in said


def test_splits_inside_the_classes_are_not_mixed(class_folders, tmp_path):
    for name in ("dark", "light"):
        for split_name in ("train", "test"):
            (class_folders / name / split_name).mkdir()
        for number, path in enumerate(sorted((class_folders / name).glob("*.jpg"))):
            path.rename(class_folders / name / ("test" if number < 3 else "train") / path.name)
    said = refused(class_folders, tmp_path / "out")
    assert "the class folders of" in said
    assert "hold the folders test, train, which are splits by their names" in said
    table, _ = run(class_folders, tmp_path / "again", layout="classes")
    assert len(table) == 24


def test_a_link_to_a_folder_above_is_not_followed(class_folders, tmp_path, local):
    (class_folders / "dark/up").symlink_to("..")
    (class_folders / "light/up").symlink_to(class_folders.parent)
    table, report = run(class_folders, tmp_path / "out")
    assert names(table) == local
    assert report["left_out"]["linked folders that were read already"]["files"] == 2


def test_files_that_are_all_unreadable_are_counted_with_their_class(class_folders, tmp_path):
    for path in class_folders.rglob("*.jpg"):
        path.write_bytes(b"x")
    said = refused(class_folders, tmp_path / "out", on_corrupt="skip")
    assert "no images in the class folders dark, light" in said
    assert "left out there: that cannot be read (24)" in said


def test_a_class_of_copies_is_said_to_be_copies(class_folders, tmp_path):
    for path in (class_folders / "dark").glob("*.jpg"):
        shutil.copy(path, class_folders / "light" / path.name)
    said = refused(class_folders, tmp_path / "out")
    assert "has no images of the classes light; 12 of their images are copies of other images" in said


def test_folders_may_be_called_like_files(class_folders, tmp_path, local):
    for name in ("photos.zip", "photos.csv"):
        class_folders = class_folders.rename(tmp_path / name)
        assert names(run(class_folders, tmp_path / "out")[0]) == local


def test_a_table_that_is_missing(tmp_path):
    assert "data.source: cannot read" in refused(tmp_path / "all.csv", tmp_path / "out")


VOC = """<annotation><filename>{name}.jpg</filename>{objects}</annotation>"""
OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult>
<part><name>head</name></part>
<bndbox><xmin>0</xmin><ymin>0</ymin><xmax>{side}</xmax><ymax>{side}</ymax></bndbox></object>"""


@pytest.fixture
def voc(tmp_path):
    """Images 0-5 cat, 6-11 dog, 12 both (the dog larger), 13 a difficult dog only, 14 not listed."""
    root, rng = tmp_path / "voc", np.random.default_rng(0)
    (root / "Annotations").mkdir(parents=True)
    (root / "ImageSets/Main").mkdir(parents=True)
    for number in range(15):
        write_jpeg(root / f"JPEGImages/{number:06}.jpg", rng.integers(0, 256, (9, 9, 3)))
        things = [("cat", 0, 5)] if number < 6 else [("dog", 0, 5)]
        things = {12: [("cat", 0, 3), ("dog", 0, 9)], 13: [("dog", 1, 5)]}.get(number, things)
        objects = "".join(OBJECT.format(name=name, difficult=hard, side=side) for name, hard, side in things)
        (root / f"Annotations/{number:06}.xml").write_text(VOC.format(name=f"{number:06}", objects=objects))
    lists = root / "ImageSets/Main"
    (lists / "trainval.txt").write_text("".join(f"{number:06}\n" for number in range(14)))
    for label, members in (("cat", [*range(6), 12]), ("dog", range(6, 13))):
        flags = ((number, 1 if number in members else -1) for number in range(13))
        hard = "000013  0\n" if label == "dog" else "000013 -1\n"
        (lists / f"{label}_trainval.txt").write_text("".join(f"{n:06} {f:2}\n" for n, f in flags) + hard)
    return root


@pytest.mark.parametrize(("policy", "label"), [("first", "cat"), ("largest", "dog"), ("drop", None)])
def test_voc(voc, tmp_path, policy, label):
    table, report = run(voc, tmp_path / "out", multi_label=policy)
    placed = dict(sorted(names(table)))
    assert report["classes"] == ["cat", "dog"]
    assert placed.get("000012.jpg") == label
    assert len(table) == (13 if label else 12)
    assert not {"000013.jpg", "000014.jpg"} & set(placed)
    findings = pd.read_csv(tmp_path / "out/split/findings.csv", keep_default_na=False)
    told = findings[findings["kind"] == "several classes"]
    assert told["detail"].tolist() == [f"cat, dog: {f'counts as {label}' if label else 'left out'}"]


def test_voc_without_annotations_goes_by_the_lists(voc, tmp_path):
    with_annotations = names(run(voc, tmp_path / "one")[0])
    for path in (voc / "Annotations").iterdir():
        path.unlink()
    assert names(run(voc, tmp_path / "two")[0]) == with_annotations
    assert "has no Annotations" in refused(voc, tmp_path / "three", multi_label="largest")


def test_voc_images_without_a_class_are_counted(voc):
    before = from_voc(str(voc), "data.source", "first")
    assert before.left_out.files == {"without a class in the annotations": 2}
    write_jpeg(voc / "JPEGImages/unknown.jpg", np.zeros((8, 8, 3)))
    (voc / "JPEGImages/notes.txt").write_text("x")
    after = from_voc(str(voc), "data.source", "first")
    assert after.left_out.files == {"without a class in the annotations": 3, "with the suffix .txt": 1}
    assert len(after.table) == len(before.table)


def test_voc_annotation_that_cannot_be_read(voc, tmp_path):
    (voc / "Annotations/000003.xml").write_text("<annotation><object>")
    assert "000003.xml: cannot be read" in refused(voc, tmp_path / "out")


def test_voc_annotation_does_not_lead_out(voc, tmp_path):
    (voc / "Annotations/000003.xml").write_text(
        VOC.format(name="../../../../etc/passwd", objects=OBJECT.format(name="cat", difficult=0, side=3))
    )
    assert "JPEGImages/passwd.jpg" in refused(voc, tmp_path / "out")


def pack_zip(root, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, file.relative_to(root.parent))


def pack_tar(root, path):
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        archive.add(root, root.name)


@pytest.mark.parametrize("name", ["all.zip", "all.tar", "all.tar.gz", "all.tgz", "ALL.ZIP"])
def test_archive(class_folders, tmp_path, local, name):
    (class_folders / "dark/notes.pdf").write_text("not for us")
    path = tmp_path / name
    (pack_zip if name.lower().endswith("zip") else pack_tar)(class_folders, path)
    table, _ = run(path, tmp_path / "out")
    assert names(table) == local
    assert not list((tmp_path / "out/unpacked").rglob("*.pdf"))
    # Unpacked once.
    kept = {file: file.stat().st_ino for file in (tmp_path / "out/unpacked").rglob("*.jpg")}
    run(path, tmp_path / "out")
    assert {file: file.stat().st_ino for file in (tmp_path / "out/unpacked").rglob("*.jpg")} == kept


@pytest.mark.parametrize("name", ["all.zip", "all.tar"])
@pytest.mark.parametrize("held", ["a.psd", None])
def test_a_class_of_an_archive_without_images_is_refused_as_that_of_a_folder(class_folders, tmp_path, name, held):
    (class_folders / "fish").mkdir()
    if held:
        (class_folders / "fish" / held).write_bytes(b"x")
    (pack_zip if name.endswith("zip") else pack_tar)(class_folders, tmp_path / name)
    assert "no images in the class folders fish of" in refused(tmp_path / name, tmp_path / "out")
    assert "no images in the class folders fish of" in refused(class_folders, tmp_path / "folder")


def test_a_text_beside_the_only_folder_of_an_archive(class_folders, tmp_path, local):
    pack_zip(class_folders, tmp_path / "all.zip")
    zip_with(tmp_path / "all.zip", "README.txt", content=b"how it was made")
    zip_with(tmp_path / "all.zip", "__MACOSX/", content=b"")
    table, report = run(tmp_path / "all.zip", tmp_path / "out")
    assert names(table) == local
    assert report["left_out"] == {"with the suffix .txt": {"files": 1, "example": "README.txt"}}


JPEG = io.BytesIO()
Image.new("RGB", (8, 8)).save(JPEG, "jpeg")


def zip_with(path, name, mode=0o100644, content=b"\xff\xd8"):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, content)


@pytest.mark.parametrize(
    "name", ["../evil.jpg", "/evil.jpg", "", "a/../../evil.jpg", "a\\..\\..\\evil.jpg", "C:/evil.jpg"]
)
def test_archive_members_do_not_lead_out(class_folders, tmp_path, name):
    pack_zip(class_folders, tmp_path / "all.zip")
    zip_with(tmp_path / "all.zip", name)
    before = set(tmp_path.rglob("*"))
    assert "leads out of its folder" in refused(tmp_path / "all.zip", tmp_path / "out")
    after = set(tmp_path.rglob("*")) - before
    assert not [path for path in after if path.is_file()]


def test_archive_links_are_refused(class_folders, tmp_path):
    pack_zip(class_folders, tmp_path / "all.zip")
    zip_with(tmp_path / "all.zip", "link.jpg", 0o120777, b"/etc/passwd")
    assert "is a link or a device" in refused(tmp_path / "all.zip", tmp_path / "out")
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(class_folders, "images")
        info = tarfile.TarInfo("images/dark/link.jpg")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    assert "is a link or a device" in refused(tmp_path / "all.tar", tmp_path / "out")


def test_archive_member_twice(class_folders, tmp_path):
    pack_zip(class_folders, tmp_path / "all.zip")
    with pytest.warns(UserWarning, match="Duplicate name"):
        zip_with(tmp_path / "all.zip", f"{class_folders.name}/dark/00.jpg")
    assert "comes twice" in refused(tmp_path / "all.zip", tmp_path / "out")


def test_archive_that_would_fill_the_disk(class_folders, tmp_path):
    """A member that declares a petabyte."""
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(class_folders, "images")
        info = tarfile.TarInfo("images/dark/bomb.jpg")
        info.size = 1 << 50
        archive.fileobj.write(info.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(Exception, match="1,125,899,906,842,624 bytes"):
        run(tmp_path / "all.tar", tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["all.zip", "all.tar.gz", "all.tar"])
def test_archives_that_are_damaged(class_folders, tmp_path, name):
    path = tmp_path / name
    (pack_zip if name.endswith("zip") else pack_tar)(class_folders, path)
    whole = path.read_bytes()
    for content in (b"", b"just words", whole[: len(whole) // 2]):
        path.write_bytes(content)
        refused(path, tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_an_archive_that_is_missing(tmp_path):
    assert "no such file" in refused(tmp_path / "all.zip", tmp_path / "out")


@pytest.fixture
def memory(class_folders):
    """The class folders in fsspec's memory filesystem."""
    filesystem = fsspec.filesystem("memory")
    for path in class_folders.rglob("*.jpg"):
        filesystem.pipe(f"/bucket/images/{path.parent.name}/{path.name}", path.read_bytes())
    yield filesystem
    filesystem.rm("/bucket", recursive=True)


def test_memory_filesystem(memory, tmp_path, local, class_folders):
    table, _ = run("memory://bucket/images", tmp_path / "out")
    assert names(table) == local
    by_folder, _ = run(class_folders, tmp_path / "folder")
    content = ["split", "width", "height", "mode", "bytes", "sha256"]
    assert table[content].equals(by_folder[content])


def test_remote_images_make_the_same_batches(memory, class_folders):
    spec = parse_spec("model: {input_image_size: '3,32,32'}")
    reader = ImageReader(spec.data, spec.augment, spec.model, 2)
    remote = image_files("memory://bucket/images", LeftOut())
    local = image_files(str(class_folders), LeftOut())
    assert [Path(path).name for path in remote] == [Path(path).name for path in local]
    for one, two in zip(remote, local, strict=True):
        assert np.array_equal(reader.read(one), reader.read(two))
    memory.rm("/bucket/images/dark/00.jpg")
    with pytest.raises(DataError, match="No such file"):
        reader.read(remote[0])


def test_memory_filesystem_table_and_archive(memory, tmp_path, local, class_folders):
    rows = pd.DataFrame(table_rows(class_folders), columns=["path", "class"])
    memory.pipe("/bucket/images/all.csv", rows.to_csv(index=False).encode())
    assert names(run("memory://bucket/images/all.csv", tmp_path / "one")[0]) == local
    pack_zip(class_folders, tmp_path / "all.zip")
    memory.pipe("/bucket/all.zip", (tmp_path / "all.zip").read_bytes())
    assert names(run("memory://bucket/all.zip", tmp_path / "two")[0]) == local


def test_new_remote_images_are_noticed(memory, tmp_path):
    before = contents_digest(["memory://bucket/images"], ContentIndex(tmp_path / "index"))
    memory.pipe("/bucket/images/dark/new.jpg", JPEG.getvalue())
    assert contents_digest(["memory://bucket/images"], ContentIndex(tmp_path / "index")) != before


@pytest.fixture
def web(class_folders):
    """The class folders behind a web server, which lists folders as pages."""
    (class_folders / "dark").rename(class_folders / "very dark")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(class_folders.parent))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{class_folders.name}"
    server.shutdown()


def test_http(web, tmp_path):
    table, report = run(web, tmp_path / "out")
    assert report["classes"] == ["light", "very dark"]
    assert len(table) == 24


def test_http_that_is_not_there(web, tmp_path):
    assert "data.source: cannot read" in refused(f"{web}/nothing", tmp_path / "out")
    assert "Cannot connect" in refused("http://127.0.0.1:9/images", tmp_path / "out")


def test_a_filesystem_whose_package_is_missing(tmp_path):
    assert "Install" in refused("abfs://container/images", tmp_path / "out")
    assert "nonsense:// is not opened" in refused("nonsense://container/images", tmp_path / "out")
