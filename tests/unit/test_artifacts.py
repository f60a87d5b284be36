"""Files appear whole or not at all; the status file tells the truth."""

import json

import pandas as pd
import pytest
from secateur.artifacts import atomic_file, require_writable, write_json, write_text
from secateur.errors import ArtifactError, DataError
from secateur.status import StatusLog, reported
from secateur.tables import read_csv, write_csv


def test_a_failed_write_leaves_the_old_file(tmp_path):
    write_text(tmp_path / "a", "old")
    with pytest.raises(RuntimeError), atomic_file(tmp_path / "a") as stream:
        stream.write(b"half of the new")
        raise RuntimeError
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


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
    found = lines(tmp_path / "r/status.json")
    states = ["STARTED", "RUNNING", "SUCCESS", "STARTED", "FAILURE", "STARTED", "INTERRUPTED"]
    assert [line["status"] for line in found] == states
    assert found[1]["kpi"] == {"loss": 0.5}
    assert found[4]["message"] == "train failed: no images"
    assert set(found[0]) == {"date", "time", "status", "verbosity", "step", "message"}
