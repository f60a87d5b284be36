"""Files appear whole or not at all; the status file tells the truth."""

import json
import os
import socket

import pandas as pd
import pytest
from secateur.errors import ArtifactError, DataError, InterruptedRunError
from secateur.storage.atomic import atomic_file, remove_leftovers, require_writable, write_json, write_text
from secateur.storage.csv import read_csv, write_csv
from secateur.storage.locks import locked
from secateur.storage.status_log import StatusLog, reported

from tests.conftest import small_files


def test_a_failed_write_leaves_the_old_file(tmp_path):
    write_text(tmp_path / "a", "old")
    with pytest.raises(RuntimeError), atomic_file(tmp_path / "a") as stream:
        stream.write(b"half of the new")
        raise RuntimeError
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_leftovers_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path):
    host = socket.gethostname()
    dead, alive = tmp_path / f".a.csv.tmp-{host}-{2**22 + 5}", tmp_path / f".b.csv.tmp-{host}-{os.getpid()}"
    elsewhere, ancient = tmp_path / ".c.csv.tmp-node-7-12", tmp_path / ".d.csv.tmp-node-7-12"
    for path in (dead, alive, elsewhere, ancient, tmp_path / "a.csv"):
        path.write_text("x")
    os.utime(ancient, (1e9, 1e9))
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([alive.name, elsewhere.name, "a.csv"])


def test_a_full_disk_keeps_the_old_file_and_names_the_bytes(tmp_path):
    write_text(tmp_path / "a", "old")
    with small_files(100_000), pytest.raises(ArtifactError) as error, atomic_file(tmp_path / "a", 300_000) as stream:
        stream.write(b"x" * 300_000)
    assert error.value.message == f"cannot write {tmp_path}/a: File too large; it needs 300,000 bytes or more"
    assert error.value.hint.startswith("free 300,000 bytes there")
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_half_a_line_of_a_killed_process_stays_apart(tmp_path):
    (tmp_path / "status.json").write_text('{"status": "STARTED"}\n{"status": "RUN')
    StatusLog(tmp_path / "status.json", "train").write("STARTED", "again")
    last = (tmp_path / "status.json").read_text().splitlines()
    assert len(last) == 3
    assert json.loads(last[2])["message"] == "again"


def test_json_refuses_what_is_not_json(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_unwritable_places_are_one_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot write"):
        write_text(tmp_path / "file" / "below", "x")
    with pytest.raises(ArtifactError, match="cannot write into"):
        require_writable(tmp_path / "file" / "below")


def test_csv_keeps_words_that_pandas_takes_for_missing(tmp_path):
    write_csv(tmp_path / "a.csv", pd.DataFrame({"class": ["NA", "null", "a,b", 'q"q', "new\nline"]}))
    assert read_csv(tmp_path / "a.csv")["class"].tolist() == ["NA", "null", "a,b", 'q"q', "new\nline"]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_status_of_success_failure_and_interruption(tmp_path):
    status = StatusLog(tmp_path / "r/status.json", "train")
    with reported(status):
        status.write("RUNNING", "epoch 1", kpi={"loss": 0.5}, epoch=1)
    with pytest.raises(DataError), reported(status):
        raise DataError("no images", "add some")
    with pytest.raises(KeyboardInterrupt), reported(status):
        raise KeyboardInterrupt
    with pytest.raises(InterruptedRunError), reported(status):
        raise InterruptedRunError("train was stopped by SIGTERM after epoch 3")
    found = lines(tmp_path / "r/status.json")
    states = ["STARTED", "RUNNING", "SUCCESS", "STARTED", "FAILURE", *["STARTED", "INTERRUPTED"] * 2]
    assert [line["status"] for line in found] == states
    assert found[1]["kpi"] == {"loss": 0.5}
    assert found[4]["message"] == "train failed: no images"
    assert set(found[0]) == {"date", "time", "status", "verbosity", "step", "message", "device"}
    assert found[0]["device"] == "cpu"


def test_links_in_a_folder_of_several_users_are_not_followed(tmp_path):
    """Neither at the names of temporary files, which nobody can know, nor at those of locks, status and probes."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    shared = tmp_path / "shared"
    (shared / ".locks").mkdir(parents=True)
    for name in ("status.json", ".locks/split", ".images.index.lock", f".writable-{os.getpid()}"):
        (shared / name).symlink_to(victim)
    (shared / f".m.onnx.tmp-{socket.gethostname()}-{os.getpid()}").symlink_to(victim)
    for lock in (".locks/split", ".images.index.lock"):
        with pytest.raises(ArtifactError, match="is a link, which is not followed"), locked(shared / lock, "it"):
            pass
    with pytest.raises(ArtifactError, match=r"status\.json is a link"):
        StatusLog(shared / "status.json", "split").write("STARTED", "x")
    require_writable(shared)
    write_text(shared / "m.onnx", "new")
    assert victim.read_text() == "precious"


def test_a_status_without_a_file_is_written_nowhere(tmp_path, monkeypatch):
    """As in the processes of other hosts."""
    monkeypatch.chdir(tmp_path)
    with reported(StatusLog(None, "train")) as status:
        status.write("RUNNING", "epoch 1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_no_place_for_results(tmp_path, monkeypatch):
    """Who owns the folder can replace a model between two steps."""
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 54321, 54321)
    require_writable(tmp_path / "theirs", ours=True)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    require_writable(tmp_path / "new", ours=True)
    require_writable(tmp_path / "theirs")
    with pytest.raises(ArtifactError, match=r"theirs belongs to the user with number 54321, who can replace") as error:
        require_writable(tmp_path / "theirs", ours=True)
    assert "SECATEUR_SHARED_RESULTS=yes" in error.value.hint
    assert list((tmp_path / "theirs").iterdir()) == []
    monkeypatch.setenv("SECATEUR_SHARED_RESULTS", "yes")
    require_writable(tmp_path / "theirs", ours=True)


def test_a_link_in_the_place_of_a_result_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "a.json").symlink_to(tmp_path / "victim")
    write_text(tmp_path / "a.json", "new")
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "a.json").is_symlink()


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_until_it_is_whole_only_its_owner_can_read_a_file(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        with atomic_file(tmp_path / "a") as stream:
            stream.write(b"secret")
            (temporary,) = tmp_path.iterdir()
            assert temporary.stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "a").stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


@pytest.mark.parametrize("kind", ["status.json", ".locks/split"])
def test_a_pipe_in_the_place_of_a_file_of_ours_does_not_stop_the_step(tmp_path, kind):
    (tmp_path / ".locks").mkdir()
    os.mkfifo(tmp_path / kind)
    with pytest.raises((ArtifactError, OSError)):
        if kind == "status.json":
            StatusLog(tmp_path / kind, "split").write("STARTED", "x")
        else:
            with locked(tmp_path / kind, "it"):
                raise OSError


def test_names_that_are_not_utf_8_are_written_into_the_status_file(tmp_path):
    StatusLog(tmp_path / "status.json", "split").write("FAILURE", "cannot read bad\udcff.png")
    assert lines(tmp_path / "status.json")[0]["message"] == "cannot read bad\udcff.png"
