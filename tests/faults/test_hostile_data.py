"""Rows H1 to H4 of docs/reliability.md, data of strangers: nothing runs, no other place is read, no machine stops."""

import gzip
import http.server
import importlib.util
import io
import json
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from secateur.cli.main import main
from secateur.data.addresses import named_by_data
from secateur.data.contents import ContentIndex, contents_digest
from secateur.data.memory_budget import MemoryBudget
from secateur.data.unpacking import unpacked
from secateur.errors import DataError
from secateur.spec import parse_spec
from secateur.steps.split import split

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 72 72\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.fixture
def listener():
    """A server of somebody else; the list gets the path of each request."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815 - the name that the server calls

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", asked
    server.shutdown()


def table_with(folder, name):
    """A table whose first row is the hostile one."""
    rows = "".join(f"images/{label}/{number:02d}.jpg,{label}\n" for label in ("dark", "light") for number in range(12))
    (folder / "table.csv").write_text(f'path,class\n"{name}",dark\n{rows}')
    return str(folder / "table.csv")


def split_of(source, folder, **data):
    spec = parse_spec(yaml.safe_dump({"data": {"source": str(source), "preprocess_mode": "tf", **data}}))
    return split(spec, folder / "split", folder / "unpacked")


def refused(source, folder, **data):
    with pytest.raises(DataError) as error:
        split_of(source, folder, **data)
    return f"{error.value.message}\n{error.value.hint}"


def reference(host):
    """fsspec would compute the text between braces, with Python objects in reach, and ask for the URL."""
    refs = {"version": 1, "templates": {"x": "{{y}}"}, "refs": {"a.jpg": [f"http://{host}/{{{{x.__class__}}}}", 0, 9]}}
    return f"reference://a.jpg::data:application/x.json;base64,{b64encode(json.dumps(refs).encode()).decode()}"


@pytest.mark.parametrize("reach", ["inside", "anywhere"])
@pytest.mark.parametrize(
    "name",
    [
        reference,
        lambda host: f"simplecache::http://{host}/a.jpg",
        lambda host: f"zip://a.jpg::http://{host}/a.zip",
        lambda host: f"http://{host}/a.jpg::http://{host}/b.jpg",
        lambda host: f"webhdfs://{host}/a.jpg",
        lambda host: f"ftp://{host}/a.jpg",
        lambda host: "data://image/png;base64,AAAA",
        lambda host: f"http://user:secret@{host}/a.jpg",
    ],
)
def test_h1_addresses_that_no_table_may_name(class_folders, tmp_path, listener, name, reach):
    host, asked = listener
    table = table_with(tmp_path, name(host))
    said = refused(table, tmp_path, table_paths=reach)
    assert "line 2" in said
    assert "secret" not in said
    contents_digest([table], ContentIndex(tmp_path / "index"), reach)
    assert asked == []


@pytest.mark.parametrize(
    "name",
    [
        "/etc/hostname",
        "../outside.jpg",
        "images/../../outside.jpg",
        "file:///etc/hostname",
        "http://{host}/a.jpg",
        "HTTP://{host}/a.jpg",
        "s3://bucket/a.jpg",
    ],
)
def test_h1_a_table_names_files_below_its_folder(class_folders, tmp_path, listener, name):
    host, asked = listener
    table = table_with(tmp_path, name.format(host=host))
    assert "data.table_paths: anywhere" in refused(table, tmp_path)
    contents_digest([table], ContentIndex(tmp_path / "index"))
    assert asked == []


def test_h1_anywhere_takes_absolute_paths_and_paths_beside_the_table(class_folders, tmp_path):
    (tmp_path / "labels").mkdir()
    rows = "".join(f"../images/{label}/{n:02d}.jpg,{label}\n" for label in ("dark", "light") for n in range(11))
    rows += "".join(f"{class_folders}/{label}/11.jpg,{label}\n" for label in ("dark", "light"))
    (tmp_path / "labels/table.csv").write_text(f"path,class\n{rows}")
    assert "24 rows name files that a table may not name" in refused(tmp_path / "labels/table.csv", tmp_path)
    assert split_of(tmp_path / "labels/table.csv", tmp_path, table_paths="anywhere")["images"] == 24
    # An absolute path below the table's own folder needs no permission.
    assert named_by_data(str(tmp_path), f"{class_folders}/dark/00.jpg", "inside") == f"{class_folders}/dark/00.jpg"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("images/dark/a\0b.jpg", "null byte"),
        (f"images/{'x' * 300}.jpg", "File name too long"),
        ("images", "Is a directory"),
        ("images/dark/00.jpg/x", "Not a directory"),
        ("images/none.jpg", "No such file"),
    ],
)
def test_h1_names_that_are_no_files_are_listed(class_folders, tmp_path, name, reason):
    table = table_with(tmp_path, name)
    contents_digest([table], ContentIndex(tmp_path / "index"))
    (item,) = split_of(table, tmp_path, on_corrupt="skip")["unreadable"]
    assert reason in item["reason"]


def test_h1_a_remote_table_names_its_own_host():
    assert named_by_data("https://host/a", "https://host/b/c.jpg", "inside") == "https://host/b/c.jpg"
    assert named_by_data("s3://bucket/a", "b/c.jpg", "inside") == "s3://bucket/a/b/c.jpg"
    for name in ("https://other/c.jpg", "http://host/c.jpg", "https://host.evil/c.jpg", "../c.jpg", "/c.jpg"):
        with pytest.raises(DataError):
            named_by_data("https://host/a", name, "inside")
    with pytest.raises(DataError):
        named_by_data("file:///data/set", "file:///etc/hostname", "inside")


@pytest.mark.parametrize("source", ["http://user:secret@127.0.0.1:9/images", "https://token@127.0.0.1:9/all.zip"])
def test_h1_a_password_in_a_url_is_refused_before_it_is_written(tmp_path, source):
    said = refused(source, tmp_path)
    assert "***@127.0.0.1" in said
    assert "secret" not in said
    assert not (tmp_path / "split").exists() or not list((tmp_path / "split").iterdir())


@pytest.fixture
def ghostscript(tmp_path, monkeypatch):
    """A stand-in that records its calls; the first of its name in PATH."""
    called = tmp_path / "called"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gs").write_text(f"#!/bin/sh\necho $@ >> {called}\nexit 1\n")
    (tmp_path / "bin/gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    return called


def other_formats():
    """Formats of Pillow that are not among ours, under the names of ours."""
    square = Image.new("RGB", (8, 8))
    found = {"postscript": POSTSCRIPT}
    for name in ("TGA", "PCX", "ICO", "PDF", "SGI"):
        stream = io.BytesIO()
        square.save(stream, name)
        found[name.lower()] = stream.getvalue()
    return found


@pytest.mark.parametrize("kind", other_formats())
def test_h2_only_formats_of_images_are_opened(class_folders, tmp_path, ghostscript, kind):
    (class_folders / "dark/odd.jpg").write_bytes(other_formats()[kind])
    report = split_of(class_folders, tmp_path, on_corrupt="skip")
    assert [item["reason"] for item in report["unreadable"]] == ["not an image that can be read"]
    assert not ghostscript.exists()


def test_h2_the_shipped_script_opens_only_them_too(tmp_path, ghostscript, repository):
    (tmp_path / "predict.py").write_bytes((repository / "scripts/secateur/export/bundle/predict.py").read_bytes())
    (tmp_path / "preprocessing.json").write_text('{"width": 8, "height": 8, "bits": 8, "crop_padding": 0}')
    (tmp_path / "labels.txt").write_text("a\nb\n")
    (tmp_path / "x.jpg").write_bytes(POSTSCRIPT)
    found = importlib.util.spec_from_file_location("predict", tmp_path / "predict.py")
    predict = importlib.util.module_from_spec(found)
    found.loader.exec_module(predict)
    with pytest.raises(Exception, match="cannot identify"):
        predict.pixels(str(tmp_path / "x.jpg"))
    assert not ghostscript.exists()


@pytest.mark.parametrize("kind", ["device", "pipe", "socket", "large"])
def test_h2_files_that_do_not_end(class_folders, tmp_path, kind):
    path = class_folders / "dark/odd.jpg"
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        # No other test needs one; the name of a socket can have 107 characters.
        code = f"import os, socket; os.chdir({str(path.parent)!r}); socket.socket(socket.AF_UNIX).bind('odd.jpg')"
        subprocess.run([sys.executable, "-c", code], check=True)
    else:
        path.touch()
        os.truncate(path, 3 << 30)
    report = split_of(class_folders, tmp_path, on_corrupt="skip")
    (item,) = report["unreadable"]
    expected = {"large": "larger than 1,073,741,824 bytes", "socket": "No such device or address"}
    assert item["reason"] == expected.get(kind, "not a regular file")
    if kind != "large":
        contents_digest([str(class_folders)], ContentIndex(tmp_path / "index"))


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("name", ["Annotations/a.xml", "ImageSets/Main/train.txt", "ImageSets/Main/cat_train.txt"])
def test_h2_files_beside_the_images_that_do_not_end(tmp_path, name, kind):
    root = tmp_path / "voc"
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    if name.startswith("ImageSets/Main/train"):
        (root / "Annotations/a.xml").write_text("<annotation/>")
    os.mkfifo(root / name) if kind == "pipe" else (root / name).symlink_to("/dev/zero")
    with pytest.raises(DataError):
        split_of(root, tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize(
    "words", [["inspect"], ["decrypt", "-o", "out", "--key", "env:K"], ["byom", "-o", "m.tltb", "--key", "env:K"]]
)
def test_h2_commands_for_a_file_that_does_not_end(tmp_path, monkeypatch, capsys, kind, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("K", "k")
    os.mkfifo("m.onnx") if kind == "pipe" else Path("m.onnx").symlink_to("/dev/zero")
    assert main([words[0], "m.onnx", *words[1:]]) != 0
    assert "not a regular file" in capsys.readouterr().err


def test_h2_a_table_that_is_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "table.csv")
    assert "not a regular file" in refused(tmp_path / "table.csv", tmp_path)
    contents_digest([str(tmp_path / "table.csv")], ContentIndex(tmp_path / "index"))


PARQUET = """
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
words = pa.array(["x" * 500 + ".jpg"])
column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000_000, np.int32)), words)
pq.write_table(pa.table({"path": column, "class": column}), sys.argv[1], compression="zstd", use_dictionary=True)
"""
READING = """
import sys
from tests.memory import peak_kb
from secateur.data.sources import from_table
from secateur.errors import DataError
try:
    from_table(sys.argv[1], "data.source")
except DataError as error:
    print(error.message, peak_kb(), sep="\\n")
"""


def test_h2_a_table_whose_text_is_far_longer_than_its_file(tmp_path):
    """3 MB that stand for 20 GB of text."""
    pytest.importorskip("pyarrow")
    path = tmp_path / "bomb.parquet"
    subprocess.run([sys.executable, "-c", PARQUET, path], check=True)
    assert path.stat().st_size < 10_000_000
    reading = [sys.executable, "-c", READING, path]
    done = subprocess.run(reading, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    message, peak = done.stdout.splitlines()
    assert "its text takes more than 1,073,741,824 bytes of memory" in message
    assert int(peak) < 1_500_000


def test_h2_large_images_wait_for_each_other():
    """And none of them fails, also one that needs more than all may have."""
    budget, inside, most = MemoryBudget(100, 10), [], []
    lock = threading.Lock()

    def work(size):
        with budget.reserved(size):
            with lock:
                inside.append(size)
                most.append(sum(inside))
            threading.Event().wait(0.01)
            with lock:
                inside.remove(size)

    threads = [threading.Thread(target=work, args=(size,)) for size in (60, 30, 60, 50, 90, 150, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(most) == len(threads)
    assert sorted(total for total in most if total > 100) == [150]
    assert budget.used == 0


def ratio_zip(path):
    """2 MB that unpack to 2 GB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in ("cat", "dog"):
            with archive.open(f"{name}/a.jpg", "w", force_zip64=True) as member:
                for _ in range(200):
                    member.write(bytes(1 << 20))


def tar_header(kind, size):
    about = tarfile.TarInfo("x")
    about.type, about.size = kind, size
    return about.tobuf(tarfile.GNU_FORMAT)


def header_of(kind, opener):
    """A header that says it has 1.5 GB, of zeros that compress to 1.5 MB."""

    def make(path):
        with opener(path, "wb") as stream:
            stream.write(tar_header(kind, 1500 << 20))
            for _ in range(100):
                stream.write(bytes(1 << 20))

    return make


def sparse(form):
    def make(path):
        if shutil.which("tar") is None:
            pytest.skip("no tar on this machine")
        folder = path.parent / "holes"
        for name in ("cat", "dog"):
            (folder / name).mkdir(parents=True)
            (folder / name / "a.jpg").touch()
            os.truncate(folder / name / "a.jpg", 3 << 30)
        subprocess.run(["tar", "-C", folder, "--sparse", f"--format={form}", "-cf", path, "cat", "dog"], check=True)

    return make


def zeros_between_members(path):
    """Members without the suffix of an image, so that their sizes are not among those to unpack."""
    with tarfile.open(path, "w:gz", compresslevel=9) as archive:
        for number in range(27):
            about = tarfile.TarInfo(f"cat/{number}.bin")
            about.size = 10 << 20
            archive.addfile(about, io.BytesIO(bytes(about.size)))


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("ratio.zip", ratio_zip, "unpacks to more than"),
        ("old.tar", sparse("gnu"), "has holes"),
        ("new.tar", sparse("posix"), "has holes"),
        ("pax.tar.gz", header_of(tarfile.XHDTYPE, gzip.open), "a header of 1,572,864,000 bytes"),
        ("global.tar.gz", header_of(tarfile.XGLTYPE, gzip.open), "a header of 1,572,864,000 bytes"),
        ("long.tar.xz", header_of(tarfile.GNUTYPE_LONGNAME, lzma.open), "a header of 1,572,864,000 bytes"),
        ("link.tar.gz", header_of(tarfile.GNUTYPE_LONGLINK, gzip.open), "a header of 1,572,864,000 bytes"),
        ("other.tar.gz", zeros_between_members, "unpacks to more than"),
    ],
)
def test_h3_archives_that_are_far_larger_inside(tmp_path, name, make, said):
    make(tmp_path / name)
    with pytest.raises(DataError, match=said):
        unpacked(str(tmp_path / name), tmp_path / "unpacked")
    assert not list((tmp_path / "unpacked").iterdir())


def test_h3_bitmaps_that_compress_well_are_unpacked(tmp_path):
    """A drawing of one colour compresses by more than a hundred; that alone is no reason."""
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for label in ("cat", "dog"):
            stream = io.BytesIO()
            Image.fromarray(np.zeros((1000, 1000, 3), np.uint8)).save(stream, "BMP")
            archive.writestr(f"{label}/a.bmp", stream.getvalue())
    folder = Path(unpacked(str(tmp_path / "all.zip"), tmp_path / "unpacked"))
    assert (folder / "cat/a.bmp").stat().st_size > 3_000_000


@pytest.fixture
def two_runs(class_folders, tmp_path, monkeypatch):
    """Specs of the same images; the second would take over the split of the first."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        text = {"key": "none", "data": {"source": str(class_folders), "preprocess_mode": "tf"}}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(text))
    assert main(["split", "-e", "a.yaml"]) == 0
    return tmp_path


def test_h4_taking_over_a_split_leaves_other_files_alone(two_runs):
    folder = two_runs / "results/b/split"
    (folder / "deeper").mkdir(parents=True)
    for name in ("notes.txt", "my_manifest.csv", "deeper/x"):
        (folder / name).write_text("mine")
    (folder / "unreadable.csv").write_text("of an earlier split\n")
    assert main(["split", "-e", "b.yaml"]) == 0
    assert [(folder / name).read_text() for name in ("notes.txt", "my_manifest.csv", "deeper/x")] == ["mine"] * 3
    assert not (folder / "unreadable.csv").exists()
    assert (folder / "manifest.csv").read_bytes() == (two_runs / "results/a/split/manifest.csv").read_bytes()


def test_h4_files_of_the_first_user_are_not_spread(two_runs):
    (two_runs / "results/a/split/secret.txt").write_text("mine")
    assert main(["split", "-e", "a.yaml"]) == 0
    assert main(["split", "-e", "b.yaml"]) == 0
    assert not (two_runs / "results/b/split/secret.txt").exists()
    assert not list((two_runs / "work").rglob("secret.txt"))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"null", b"[]", b'{"users": []}', b'{"users": ["x"], "files": {}}', b"\0" * 64]
)
@pytest.mark.parametrize("name", ["users.json", "manifest.csv"])
def test_h4_a_damaged_shared_split_is_made_again(two_runs, capsys, name, content):
    (shared,) = (two_runs / "work/cache/splits").glob(f"*/{name}")
    shared.write_bytes(content)
    assert main(["split", "-e", "b.yaml"]) == 0
    assert "is damaged; the images are examined again" in capsys.readouterr().err
    assert (two_runs / "results/b/split/manifest.csv").read_bytes() == (
        two_runs / "results/a/split/manifest.csv"
    ).read_bytes()
    assert main(["split", "-e", "a.yaml"]) == 0
