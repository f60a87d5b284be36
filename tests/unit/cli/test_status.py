import json
import os
import socket
from pathlib import Path

import pytest
from secateur.cli.main import main
from secateur.cli.status import experiments_of, progress_of
from secateur.run import run_of
from secateur.spec.load import parse_spec
from secateur.storage.status_log import StatusLog


@pytest.fixture
def run(tmp_path):
    return run_of("one", parse_spec("key: k"), tmp_path)


def held(run, pid, host=None):
    folder = run.results / ".locks"
    folder.mkdir(parents=True)
    (folder / "train").write_text(json.dumps({"pid": pid, "host": host or socket.gethostname(), "since": "now"}))


def write(run, step, state, message="", **more):
    StatusLog(run.results / "status.json", step).write(state, message, **more)


def test_nothing_yet(run):
    assert progress_of("one", run, []).state == "waiting"


def test_a_training_at_work_says_how_far_it_is(run):
    write(run, "split", "SUCCESS")
    write(run, "train", "RUNNING", "epoch 3 of 20", kpi={"val_accuracy": 0.5}, eta="0:01:00")
    held(run, os.getpid())
    progress = progress_of("one", run, [])
    assert (progress.state, progress.step) == ("running", "train")
    assert progress.words == "epoch 3 of 20  val_accuracy 0.5000  ETA 0:01:00"


def test_one_that_was_killed_is_not_at_work(run):
    write(run, "train", "RUNNING", "epoch 3 of 20")
    held(run, 2**22 + 1)
    assert progress_of("one", run, [Path("missing")]).state == "stopped"


def test_of_another_machine_its_own_word_counts(run):
    write(run, "train", "STARTED", "train started")
    held(run, 1, "elsewhere")
    assert progress_of("one", run, []).state == "running"


def test_a_failure_is_shown_until_the_step_succeeds(run):
    write(run, "train", "SUCCESS")
    write(run, "prune", "FAILURE", "prune failed: no such [layer]")
    assert progress_of("one", run, [Path("missing")]).state == "failed"
    write(run, "prune", "SUCCESS")
    assert progress_of("one", run, []).state == "done"


def test_an_interrupted_retraining_is_not_done_though_files_of_the_last_one_exist(run):
    run.file("evaluate", "metrics", run.final_step).parent.mkdir(parents=True)
    shown = {"top_1": 0.5, "macs": 2_000_000}
    run.file("evaluate", "metrics", run.final_step).write_text(json.dumps(shown))
    for step in ("train", "evaluate"):
        write(run, step, "SUCCESS")
    assert progress_of("one", run, []).state == "done"
    write(run, "train", "RUNNING", "epoch 3 of 20")
    assert progress_of("one", run, []).state == "stopped"
    write(run, "train", "INTERRUPTED", "train was interrupted")
    progress = progress_of("one", run, [])
    assert (progress.state, progress.step, progress.result) == ("stopped", "train", "")


def test_half_a_line_is_no_event(run):
    write(run, "train", "SUCCESS")
    with open(run.results / "status.json", "a") as stream:
        stream.write('{"step": "tra')
    assert progress_of("one", run, []).state == "done"


def test_the_command(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text("key: k\n")
    (tmp_path / "config.yaml").write_text("experiments: {one: one.yaml}\n")
    write(run, "prune", "FAILURE", "prune failed: no such [layer]")
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["status", "config.yaml"]) == 0
    out = capsys.readouterr().out
    assert "failed" in out
    assert "no such [layer]" in out
    assert main(["status", "missing.yaml"]) == 2


def test_a_training_that_points_share_is_done_without_what_points_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text("key: k\nprune: {target_macs: 0.5}\n")
    values = "prune.target_macs: [0.5, 0.25]"
    (tmp_path / "config.yaml").write_text(
        f"experiments: {{}}\nsweep: {{sizes: {{spec: one.yaml, values: {{{values}}}}}}}\n"
    )
    experiments = experiments_of("config.yaml")
    shared = experiments.all_files("sizes.train")
    assert "results/sizes.train/train/model.tlt" in shared
    assert not [path for path in shared if "/retrain/" in path or "/export/" in path]
    point = experiments.all_files("sizes.target_macs-0.5")
    assert "results/sizes.target_macs-0.5/retrain/model.tlt" in point
    assert not set(point) & set(shared)
