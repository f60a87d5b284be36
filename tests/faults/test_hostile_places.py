"""Rows H7 and H8 of docs/reliability.md: damaged archives, files that take long, and folders that others can write."""

import http.server
import io
import os
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from secateur.cli.main import main
from secateur.cli.status import progress_of, table_of
from secateur.data.contents import ContentIndex
from secateur.data.examination import examine_all
from secateur.data.filesystem import remote_files
from secateur.data.image_cache import CachedImages
from secateur.data.image_opening import MAX_SCANS, UnreadableImageError
from secateur.data.images import read_image
from secateur.data.parquet import read_parquet
from secateur.data.unpacking import unpacked
from secateur.errors import ArtifactError, DataError
from secateur.export.web_page import web_page
from secateur.pruning.stepwise import Stepwise
from secateur.run import run_of
from secateur.spec import DataSpec, ModelSpec, load_spec
from secateur.steps.shared_split import shared_split
from secateur.storage.regular_files import append_regular
from secateur.training.checkpoints import Checkpoints, TrainingState

from tests.conftest import write_class_folders
from tests.memory import Growth

BLOCK = tarfile.BLOCKSIZE
RGB = ModelSpec(input_image_size=(3, 32, 32))


# H7: archives


def archive_of(folder, suffix=""):
    """A tar of eight images; plain, or compressed."""
    write_class_folders(folder / "images")
    path = folder / f"all.tar{suffix and '.' + suffix}"
    with tarfile.open(path, f"w:{suffix}") as archive:
        archive.add(folder / "images", "images")
    return path


def header_offset(content, number):
    """Where the header of a member is."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return archive.getmembers()[number].offset


def flipped(content, at):
    changed = bytearray(content)
    changed[at + 150] ^= 1
    return bytes(changed)


DAMAGED_TARS = {
    "a bit of a header": flipped,
    "cut before a header": lambda content, at: content[:at],
    "cut in a header": lambda content, at: content[: at + 100],
    "cut in an image": lambda content, at: content[: at + BLOCK + 100],
    "a header of zeros": lambda content, at: content[:at] + bytes(BLOCK) + content[at + BLOCK :],
    "two in one": lambda content, at: content + content,
    "without its end": lambda content, at: content.rstrip(b"\0") + bytes(-len(content.rstrip(b"\0")) % BLOCK),
}


@pytest.mark.parametrize("damage", DAMAGED_TARS)
def test_h7_a_damaged_tar_is_not_a_smaller_one(tmp_path, damage):
    """`tarfile` takes each of these for the end of the archive."""
    content = archive_of(tmp_path).read_bytes()
    (tmp_path / "bad.tar").write_bytes(DAMAGED_TARS[damage](content, header_offset(content, 12)))
    with pytest.raises(DataError, match=r"bad\.tar: cannot be unpacked: "):
        unpacked(str(tmp_path / "bad.tar"), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("suffix", ["", "gz", "bz2", "xz"])
def test_h7_whole_archives_are_unpacked(tmp_path, suffix):
    folder = Path(unpacked(str(archive_of(tmp_path, suffix)), tmp_path / "out"))
    assert len(list(folder.rglob("*.jpg"))) == 24


# H7: time and memory


def progressive(scans):
    """A JPEG whose last scan is there so many times."""
    stream = io.BytesIO()
    Image.new("L", (64, 64), 90).save(stream, "jpeg", progressive=True)
    content = stream.getvalue()
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * scans + content[-2:]


def test_h7_a_progressive_jpeg_of_very_many_scans(tmp_path):
    (tmp_path / "few.jpg").write_bytes(progressive(1))
    (tmp_path / "many.jpg").write_bytes(progressive(10 * MAX_SCANS))
    assert read_image(tmp_path / "few.jpg", RGB).size == (64, 64)
    with pytest.raises(UnreadableImageError, match=r"1,\d+ scans, more than 100"):
        read_image(tmp_path / "many.jpg", RGB)
    assert list(
        examine_all([str(tmp_path / "few.jpg"), str(tmp_path / "many.jpg")], DataSpec())["unreadable"].ne("")
    ) == [
        False,
        True,
    ]


def test_h7_a_table_of_very_many_rows_without_text():
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    stream = io.BytesIO()
    rows = pyarrow.table({name: pyarrow.nulls(5_000_000, pyarrow.string()) for name in ("path", "class")})
    with parquet.ParquetWriter(stream, rows.schema) as writer:
        for _ in range(4):
            writer.write_table(rows)
    assert len(stream.getvalue()) < 1_000_000
    with Growth() as memory, pytest.raises(ValueError, match="its text takes more than"):
        read_parquet(stream.getvalue())
    assert memory.kb < 300_000


@pytest.fixture
def endless():
    """A web server whose every folder has a folder."""
    page = b'<a href="d/">d</a> <a href="x.jpg">x</a>'

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(page)

        do_HEAD = do_GET  # noqa: N815 - the name that the server calls

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/data"
    server.shutdown()


def test_h7_a_server_with_folders_without_end(endless):
    with pytest.raises(DataError, match="more than 16 below each other"):
        remote_files(endless)


@pytest.mark.parametrize("encoding", ["nope", "hex", "rot13"])
def test_h7_an_annotation_in_an_unknown_encoding(tmp_path, encoding):
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations/a.xml").write_text(f'<?xml version="1.0" encoding="{encoding}"?><annotation/>')
    with pytest.raises(DataError, match=r"a\.xml: cannot be read"):
        main_split(tmp_path)


def main_split(folder):
    from secateur.data.sources import listed

    return listed(str(folder), "data.source", "largest", folder / "unpacked")


# H8: what lies in a shared folder


def test_h8_pipes_in_the_folders_of_the_workflow(tmp_path, class_folders):
    spec = tmp_path / "one.yaml"
    spec.write_text(f"key: none\ndata: {{source: {class_folders}, preprocess_mode: tf}}\n")
    loaded = load_spec(spec)
    with shared_split(loaded, tmp_path / "first", tmp_path / "work", io.StringIO()):
        (tmp_path / "first").mkdir()
        (tmp_path / "first/manifest.csv").write_text("path\n")
    record = next((tmp_path / "work/cache/splits").glob("*/users.json"))
    record.unlink()
    os.mkfifo(record)
    said = io.StringIO()
    with shared_split(loaded, tmp_path / "second", tmp_path / "work", said) as taken:
        assert not taken
        (tmp_path / "second").mkdir()
    assert "is damaged; the images are examined again" in said.getvalue()
    os.mkfifo(tmp_path / "images.index")
    assert ContentIndex(tmp_path / "images.index").digests([str(spec)]) != [""]
    os.mkfifo(tmp_path / "cache")
    with pytest.raises(ArtifactError, match="not a file of the image cache"):
        CachedImages(tmp_path / "cache", 3, np.dtype(np.uint8), 1)


def test_h8_logs_are_neither_links_nor_pipes(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(OSError, match=r"Too many levels|not a regular file"):
            append_regular(tmp_path / name)
    assert (tmp_path / "victim").read_text() == "precious"


def test_h8_files_of_a_user_beside_checkpoints_stay(tmp_path):
    names = ("checkpoint_000001_good.age", "checkpoint_before-change.age", "checkpoint_.age", "notes.txt")
    for name in names:
        (tmp_path / name).write_text("mine")
    checkpoints = Checkpoints(tmp_path, None)
    for _ in range(4):
        checkpoints.write([np.zeros(3)], TrainingState())
    assert len(checkpoints.files()) == 2
    checkpoints.finish(TrainingState())
    checkpoints.forget()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_h8_files_of_a_user_beside_pruned_models_and_splits_stay(tmp_path, class_folders):
    for name in ("step_001.tlt", "step_notes.tlt", "step_0001.tlt"):
        (tmp_path / name).write_text("x")
    Stepwise.forget(type("Of", (), {"folder": tmp_path, "_files": Stepwise._files})())
    assert sorted(path.name for path in tmp_path.glob("step_*")) == ["step_0001.tlt", "step_notes.tlt"]


CONTENTS = {
    "rubbish": b"rubbish",
    "empty": b"",
    "no arrays": None,
    "compressed": None,
    "no identity": None,
    "a list": None,
}


def content_of(kind):
    if CONTENTS[kind] is not None:
        return CONTENTS[kind]
    stream = io.BytesIO()
    about = {"no identity": b"{}", "a list": b"[]", "compressed": b'{"identity": {}}', "no arrays": None}[kind]
    arrays = {} if about is None else {"about": np.frombuffer(about, np.uint8)}
    (np.savez_compressed if kind == "compressed" else np.savez)(stream, **arrays)
    return stream.getvalue()


@pytest.mark.parametrize("kind", CONTENTS)
def test_h8_a_checkpoint_with_the_right_digest_and_the_wrong_content(tmp_path, kind):
    """Without a key anybody can make the digest; the checkpoint before is used."""
    import hashlib

    checkpoints = Checkpoints(tmp_path, None)
    checkpoints.write([np.full(3, 7.0)], TrainingState(epoch=1))
    content = content_of(kind)
    (tmp_path / "checkpoint_000002.age").write_bytes(hashlib.sha256(content).digest() + content)
    variable = Variable()
    said = io.StringIO()
    assert checkpoints.read([variable], said).epoch == 1
    assert variable.value.tolist() == [7, 7, 7]
    assert "checkpoint_000002.age: it is not a checkpoint; resuming from the checkpoint before" in said.getvalue()


class Variable:
    shape = (3,)

    def assign(self, value):
        self.value = value


@pytest.mark.parametrize("text", [r"\[/x]", "[/nope]", "[bold]", "\x1b]0;pwned\x07", "[link=file:///etc]x[/link]"])
def test_h8_text_of_a_results_folder_is_shown_as_it_is(tmp_path, monkeypatch, text):
    import json

    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text("key: none\n")
    run = run_of("one", load_spec("one.yaml"))
    run.results.mkdir(parents=True)
    event = {"step": text, "status": "FAILURE", "message": text}
    (run.results / "status.json").write_text(json.dumps(event) + "\n")
    metrics = run.file("evaluate", "metrics", "train")
    metrics.parent.mkdir(parents=True)
    metrics.write_text(json.dumps({"per_class": {text: {}}}))
    from rich.console import Console

    console = Console(file=io.StringIO(), width=200)
    console.print(table_of([progress_of("one", run, [])]))
    shown = console.file.getvalue()
    assert "\x1b" not in shown
    assert text.replace("\x1b", "\\x1b").replace("\x07", "\\x07") in shown


def test_h8_a_label_that_looks_like_a_place_in_the_page(monkeypatch):
    from secateur.export import web_page as module

    monkeypatch.setattr(module, "_runtime", lambda name: b"runtime")
    page = web_page({"labels": ["{{MODEL}}", "{{NAME}}"], "title": "t"}, b"model")
    assert '"{{MODEL}}", "{{NAME}}"' in page


def test_an_error_that_nobody_foresaw_is_two_lines(tmp_path, monkeypatch, capsys):
    def broken(*arguments):
        raise IndexError("list index out of range\nmore")

    monkeypatch.setattr("secateur.cli.commands.inspect", broken, raising=False)
    monkeypatch.setattr("secateur.cli.inspect.inspect", broken)
    (tmp_path / "m").write_bytes(b"x")
    assert main(["inspect", str(tmp_path / "m")]) == 1
    error = capsys.readouterr().err
    assert "error: a fault of secateur: IndexError: list index out of range\nhint: please report it" in error
    assert "Traceback" not in error
    monkeypatch.setenv("SECATEUR_TRACEBACK", "1")
    with pytest.raises(IndexError):
        main(["inspect", str(tmp_path / "m")])
