"""Files appear whole or not at all; the status file tells the truth."""

import json
import os
import socket

import pandas as pd
import pytest
from secateur.errors import ArtifactError, DataError, InterruptedRunError
from secateur.storage.atomic import atomic_file, remove_leftovers, require_writable, write_json, write_text
from secateur.storage.csv import read_csv, write_csv
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
