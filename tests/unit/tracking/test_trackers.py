"""Trackers: their own programs read what a training told them, and a training never waits for one or ends with one."""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from secateur.errors import InterruptedRunError
from secateur.run import Run
from secateur.spec import parse_spec
from secateur.tracking import tracked, trackers

SPEC = {"key": "a-secret-pass-phrase", "model": {"arch": "resnet_18"}, "data": {"source": "digits"}}
ROWS = ({"loss": 1.5, "accuracy": 0.25}, {"loss": 0.75, "accuracy": 0.5})


@pytest.fixture(autouse=True)
def no_accounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("WANDB_", "CLEARML_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def run_with(tmp_path: Path, tracker: str, **options: Any) -> Run:
    spec = parse_spec(yaml.safe_dump({**SPEC, "train": {tracker: options}}))
    return Run("shoes", spec, tmp_path / "results", tmp_path / "work")


def follow(run: Run, rows: tuple[dict[str, float], ...] = ROWS, first: int = 1) -> str:
    """A training of these epochs; returns what people read."""
    stream = io.StringIO()
    with tracked(run.name, "train", run.spec, run.spec.train, run.work / "train", stream) as told:
        for epoch, row in enumerate(rows, first):
            told.epoch(epoch, row)
        told.summary = {"val_accuracy": 0.5, "params": 1234, "device": "cpu"}
    return stream.getvalue()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's own server."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).parent / "mlflow"
    command = [program, "server", "--backend-store-uri", f"sqlite:///{folder}/runs.db", "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            [*command, "--workers", "1"], stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True
        )
    try:
        for _ in range(240):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def curve(client: Any, run: str, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run, name)]


def test_mlflow_has_curves_figures_and_the_spec(server: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    said = follow(run_with(tmp_path, "mlflow", tracking_uri=server, experiment="first", tags={"team": "edge"}))
    client = MlflowClient(server)
    found = client.get_experiment_by_name("first")
    (run,) = client.search_runs([found.experiment_id])
    assert f"mlflow: run {run.info.run_id} at {server}" in said
    assert run.info.status == "FINISHED" and run.info.run_name == "shoes train"
    assert curve(client, run.info.run_id, "loss") == [(1, 1.5), (2, 0.75)]
    assert run.data.metrics["final_val_accuracy"] == 0.5 and run.data.metrics["final_params"] == 1234
    assert run.data.params["model.arch"] == "resnet_18" and run.data.tags["team"] == "edge"
    assert "a-secret" not in str(run.to_dictionary())


def test_a_training_that_goes_on_keeps_its_mlflow_run(server: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    run = run_with(tmp_path, "mlflow", tracking_uri=server, experiment="second")
    with (
        pytest.raises(InterruptedRunError),
        tracked(run.name, "train", run.spec, run.spec.train, run.work / "train", io.StringIO()) as told,
    ):
        told.epoch(1, ROWS[0])
        raise InterruptedRunError("train was stopped", "run it again")
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("second").experiment_id
    (stopped,) = client.search_runs([experiment])
    assert stopped.info.status == "KILLED"
    follow(run, ROWS[1:], first=2)
    (finished,) = client.search_runs([experiment])
    assert finished.info.run_id == stopped.info.run_id and finished.info.status == "FINISHED"
    assert curve(client, finished.info.run_id, "accuracy") == [(1, 0.25), (2, 0.5)]
    follow(run, ROWS[:1], first=3)
    (longer,) = client.search_runs([experiment])
    assert longer.info.run_id == finished.info.run_id and longer.info.status == "FINISHED", "more epochs, the same run"
    assert [step for step, _ in curve(client, longer.info.run_id, "accuracy")] == [1, 2, 3]
    follow(run)
    assert len(client.search_runs([experiment])) == 2, "a training from the beginning is a run of its own"


def wandb_records(data: bytes) -> list[Any]:
    """The records of a wandb file: 7 bytes of its own, then LevelDB's log format, in blocks of 32 KiB."""
    from wandb.proto import wandb_internal_pb2

    records, place, parts = [], 7, b""
    while place + 7 <= len(data):
        if 0x8000 - place % 0x8000 < 7:
            place += 0x8000 - place % 0x8000
        _, length, kind = struct.unpack_from("<IHB", data, place)
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            records.append(record)
            parts = b""
    return records


def test_wandb_without_an_account_keeps_a_run_to_be_sent(tmp_path: Path) -> None:
    said = follow(run_with(tmp_path, "wandb", project="edge", name="a name", tags=["x"]))
    assert "wandb sync" in said
    (file,) = (tmp_path / "work" / "train" / "wandb").rglob("run-*.wandb")
    records = wandb_records(file.read_bytes())
    (run,) = [record.run for record in records if record.HasField("run")]
    assert (run.project, run.display_name, list(run.tags), run.run_group) == ("edge", "a name", ["x"], "shoes")
    history = [
        {(item.key or "/".join(item.nested_key)): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]
    assert [(row["loss"], row["accuracy"]) for row in history] == [(1.5, 0.25), (0.75, 0.5)]
    assert b"a-secret" not in file.read_bytes()


def test_clearml_without_an_account_keeps_a_task_to_be_sent(tmp_path: Path) -> None:
    said = follow(run_with(tmp_path, "clearml", project="edge", tags=["x"]))
    assert "Task.import_offline_session" in said
    (session,) = (tmp_path / "home").rglob("offline-*.zip")
    with zipfile.ZipFile(session) as archive:
        task = json.loads(archive.read("task.json"))
        points = [point for line in archive.read("metrics.jsonl").splitlines() for point in json.loads(line)]
        everything = b"".join(archive.read(name) for name in archive.namelist())
    assert task["name"] == "shoes train" and {"x", "shoes", "train"} <= set(task["tags"])
    assert [(point["iter"], point["value"]) for point in points if point.get("metric") == "loss"] == [
        (1, 1.5),
        (2, 0.75),
    ]
    assert b"a-secret" not in everything
    assert not task.get("script", {}).get("diff"), "differences of a checkout may hold keys"


def test_a_server_that_never_answers_does_not_hold_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(trackers.LAST_WORDS_S, "finished", 3.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        # More than a pipe holds: nobody reads it.
        said = follow(run_with(tmp_path, "mlflow", tracking_uri=address), ROWS * 2000)
    assert "mlflow: did not finish in time and was stopped" in said


def test_a_tracker_that_fails_is_named_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "wandb.py").write_text("raise ImportError('no wandb here')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    assert "warning: wandb: no wandb here; the training continues without it" in follow(run_with(tmp_path, "wandb"))


def test_a_tracker_that_cannot_be_started_is_named_and_left_out(tmp_path: Path) -> None:
    run = run_with(tmp_path, "wandb")
    (tmp_path / "work" / "train").mkdir(parents=True)
    (tmp_path / "work" / "train" / "wandb").write_text("a file where its folder should be")
    assert "warning: wandb: " in follow(run)


def test_without_a_section_no_process_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **more: pytest.fail("started"))
    spec = parse_spec(yaml.safe_dump(SPEC))
    assert follow(Run("shoes", spec, tmp_path / "results", tmp_path / "work")) == ""


def test_a_killed_training_is_a_failed_run(server: str, tmp_path: Path, repository: Path) -> None:
    from mlflow import MlflowClient

    run_with(tmp_path, "mlflow", tracking_uri=server, experiment="third")
    code = f"""
import io, os, signal, sys, time
sys.path.insert(0, {str(repository / "scripts")!r})
from pathlib import Path
from secateur.spec import parse_spec
from secateur.tracking import Trackers
spec = parse_spec({yaml.safe_dump({**SPEC, "train": {"mlflow": {"tracking_uri": server, "experiment": "third"}}})!r})
start = {{"experiment": "shoes", "step": "train", "config": {{}}}}
trackers = Trackers(start, Path("w"), spec.train, io.StringIO())
trackers.epoch(1, {{"loss": 2.0}})
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == -9
    client = MlflowClient(server)
    for _ in range(120):
        found = client.get_experiment_by_name("third")
        runs = client.search_runs([found.experiment_id]) if found else []
        if runs and runs[0].info.status == "FAILED":
            break
        time.sleep(0.5)
    assert runs and runs[0].info.status == "FAILED" and runs[0].data.metrics["loss"] == 2.0
