"""A real SLURM: one training that it queues again, and the whole workflow through the profile."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.e2e.slurm import Slurm, missing

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]

SPEC = {
    "key": "env:TEST_KEY",
    "data": {"source": "images", "preprocess_mode": "tf"},
    "model": {"arch": "resnet_10", "input_image_size": [3, 32, 32], "use_batch_norm": True},
    "train": {"num_epochs": 40, "batch_size_per_gpu": 4, "checkpoint_interval": 40, "n_workers": 1},
}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with Slurm(tmp_path_factory.mktemp("slurm")) as slurm:
        yield slurm


def test_a_requeued_job_goes_on_where_it_was(slurm, tmp_path, class_folders, monkeypatch):
    """Once because the job asks for it by exit code 75 (RequeueExit), once because somebody else needs the node."""
    monkeypatch.setenv("TEST_KEY", "k")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(SPEC))
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/sh\ncd {tmp_path}\nexec {sys.executable} -m secateur train -e one.yaml\n")
    printed, status = tmp_path / "printed", tmp_path / "results/one/status.json"

    def epoch(number):
        return lambda: printed.exists() and f"epoch {number}/40" in printed.read_text()

    options = ("--requeue", "--open-mode=append", f"--output={printed}", "--mem=2000")
    job = slurm.submit(script, *options)
    slurm.wait(epoch(3), 120)
    slurm.call("scancel", "--signal=USR2", "--batch", job)
    slurm.wait(lambda: "resuming" in printed.read_text(), 120)
    first = [json.loads(line) for line in status.read_text().splitlines()]
    slurm.wait(epoch(8), 120)
    slurm.call("scontrol", "requeue", job)
    slurm.wait(lambda: printed.read_text().count("resuming") == 2, 180)
    slurm.wait(lambda: slurm.about(job)["JobState"] == "COMPLETED", 240)
    assert int(slurm.about(job)["Restarts"]) == 2
    assert "INTERRUPTED" in [line.get("status") for line in first]
    assert "epoch 1/40" not in printed.read_text().split("resuming", 1)[1]
    assert [printed.read_text().count(f"epoch {number}/40") for number in (1, 40)] == [1, 1]
    assert (tmp_path / "results/one/train/model.tlt").exists()


EXPERIMENT = {
    **SPEC,
    "train": {"num_epochs": 20, "batch_size_per_gpu": 4, "n_workers": 1},
    "prune": {"threshold": 0.5},
    "retrain": {"num_epochs": 2},
    "inference": {"image_dir": "images/dark"},
    "export": {"output_path": "EXPORTDIR/m.onnx"},
}


def test_two_experiments_through_the_profile_one_of_them_killed(
    slurm, tmp_path, class_folders, repository, monkeypatch
):
    """Each has a GPU of its own; the killed one goes on in another SLURM job, and so does the one that is told that its
    time is nearly up; both end with all files. The second has every step of its first network only.
    """
    monkeypatch.setenv("TEST_KEY", "k")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    unpruned = {key: value for key, value in EXPERIMENT.items() if key not in ("prune", "retrain", "inference")}
    for name, experiment in (("a", EXPERIMENT), ("b", unpruned)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(experiment))
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text("experiments: {a: a.yaml, b: b.yaml}\n")
    snakemake = [sys.executable, "-m", "snakemake", "-s", str(repository / "Snakefile")]
    profile = ["--profile", str(repository / "profiles/slurm")]
    # What this SLURM has not: accounts, and a data base of jobs that ended.
    small = ["--slurm-no-account", "--slurm-status-command", "squeue"]
    quick = ["--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"]
    log, printed = tmp_path / "logs/a/train.log", tmp_path / "printed"
    with open(printed, "w") as stream:
        workflow = subprocess.Popen(
            [*snakemake, *profile, *small, *quick],
            cwd=tmp_path, env=slurm.environment, stdout=stream, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            slurm.wait(lambda: log.exists() and "epoch 3/20" in log.read_text(), 200, workflow)
            holder = json.loads((tmp_path / "results/a/.locks/train").read_text())["pid"]
            first = _job_of(holder)
            os.kill(holder, signal.SIGKILL)
            slurm.wait(lambda: "epoch 2/20" in (tmp_path / "logs/b/train.log").read_text(), 200, workflow)
            other = json.loads((tmp_path / "results/b/.locks/train").read_text())["pid"]
            slurm.call("scancel", "--signal=USR2", _job_of(other).decode().partition("=")[2])
            # Snakemake removes the log before the second attempt.
            slurm.wait(lambda: log.exists() and "resuming after epoch" in log.read_text(), 200, workflow)
            second = _job_of(json.loads((tmp_path / "results/a/.locks/train").read_text())["pid"])
            assert workflow.wait(400) == 0, printed.read_text()
        finally:
            workflow.kill()
    assert first != second
    epochs = [int(number) for number in re.findall(r"train  epoch (\d+)/20", log.read_text())]
    assert epochs == list(range(epochs[0], 21))
    assert epochs[0] > 2
    assert "INTERRUPTED" in (tmp_path / "results/b/status.json").read_text()
    assert "INTERRUPTED" not in (tmp_path / "results/a/status.json").read_text()
    # The second attempts may have changed places: whoever comes first gets the GPU that is free.
    first_a, second_a = _devices(tmp_path / "results/a/status.json", "train")
    first_b, second_b = _devices(tmp_path / "results/b/status.json", "train")
    assert {first_a, first_b} == {second_a, second_b} == {"0", "1"}
    assert _devices(tmp_path / "results/a/status.json", "split") == ["cpu"]
    assert all((tmp_path / f"results/{name}/export/MANIFEST.json").exists() for name in ("a", "b"))
    again = subprocess.run([*snakemake, "-n"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Nothing to be done" in again.stdout + again.stderr


def _job_of(pid):
    """The number of the SLURM job that a process belongs to."""
    words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next(word for word in words if word.startswith(b"SLURM_JOB_ID="))


def _devices(status, step):
    """Of each attempt of a step."""
    lines = [json.loads(line) for line in status.read_text().splitlines()]
    return [line["device"] for line in lines if line["status"] == "STARTED" and line["step"] == step]
