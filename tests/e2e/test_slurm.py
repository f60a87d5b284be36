"""A training that SLURM takes off its node and queues again."""

import json
import sys

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


def test_a_requeued_job_goes_on_where_it_was(tmp_path, class_folders, monkeypatch):
    """Once because the job asks for it by exit code 75 (RequeueExit), once because somebody else needs the node."""
    monkeypatch.setenv("TEST_KEY", "k")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(SPEC))
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/sh\ncd {tmp_path}\nexec {sys.executable} -m secateur train -e one.yaml\n")
    printed, status = tmp_path / "printed", tmp_path / "results/one/status.json"

    def epoch(number):
        return lambda: printed.exists() and f"epoch {number}/40" in printed.read_text()

    with Slurm(tmp_path / "slurm") as slurm:
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
