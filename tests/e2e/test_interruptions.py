"""Trainings that are stopped inside a real workflow, and what the next run does."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

pytestmark = pytest.mark.slow

SPEC = {
    "key": "env:TEST_KEY",
    "data": {"source": "images", "preprocess_mode": "tf"},
    "model": {"arch": "resnet_10", "input_image_size": [3, 32, 32], "use_batch_norm": True},
    "train": {"batch_size_per_gpu": 4, "checkpoint_interval": 4, "n_workers": 1},
}
MODEL = "results/one/train/model.tlt"


class Project:
    """A folder with images and an experiment called `one`, which trains for a number of epochs."""

    def __init__(self, folder, repository, epochs=24):
        self.folder, self.epochs = folder, epochs
        (folder / "config").mkdir()
        (folder / "config/config.yaml").write_text("experiments: {one: one.yaml}\n")
        (folder / "one.yaml").write_text(yaml.safe_dump({**SPEC, "train": {**SPEC["train"], "num_epochs": epochs}}))
        self.places = ["-s", str(repository / "Snakefile"), "-d", str(folder)]
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.environment = {**kept, "TEST_KEY": "k"}

    def start(self, *words, program=("snakemake",)):
        """What it prints goes to a file: an orphan would keep a pipe open."""
        command = [sys.executable, "-m", *program, *self.places, "--cores", "2", *words, "--", MODEL]
        with open(self.folder / "printed", "w") as printed:
            return subprocess.Popen(
                command, stdout=printed, stderr=printed, env=self.environment, start_new_session=True
            )

    def run(self, *words):
        return self.start(*words).wait(), self.printed

    @property
    def printed(self):
        return (self.folder / "printed").read_text()

    def job(self, epoch):
        """Wait until the training has done `epoch`; its process."""
        log, lock = self.folder / "logs/one/train.log", self.folder / "results/one/.locks/train"
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if log.exists() and f"epoch {epoch}/{self.epochs}" in log.read_text():
                return json.loads(lock.read_text())["pid"]
            time.sleep(0.05)
        raise AssertionError("the training did not start")

    @property
    def history(self):
        return (self.folder / "results/one/train/history.csv").read_text()

    @property
    def states(self):
        lines = (self.folder / "results/one/status.json").read_text().splitlines()
        return [line["status"] for line in map(json.loads, lines) if line["step"] == "train"]


@pytest.fixture
def project(class_folders, tmp_path, repository):
    return Project(tmp_path, repository)


def test_sigterm_and_kill_are_retried_and_go_on_where_they_were(project):
    process = project.start("--retries", "2")
    os.kill(project.job(6), signal.SIGTERM)
    time.sleep(1)
    os.kill(project.job(14), signal.SIGKILL)
    assert process.wait() == 0, project.printed
    assert "train was stopped by SIGTERM after epoch" in project.printed
    assert "resuming after epoch" in (project.folder / "logs/one/train.log").read_text()
    assert project.states.count("STARTED") == 3
    assert project.states.count("INTERRUPTED") == 1
    assert project.states[-1] == "SUCCESS"
    stopped = project.history
    for name in ("results", "work", "logs"):
        (project.folder / name).rename(project.folder / f"{name}-stopped")
    code, error = project.run("--forcerun", "train")
    assert code == 0, error
    assert project.history == stopped


def test_an_orphan_and_its_successor_never_work_on_the_same_files(class_folders, tmp_path, repository):
    project = Project(tmp_path, repository, epochs=50)  # it works on until its successor comes
    first = project.start()
    orphan = project.job(2)
    first.kill()
    first.wait()
    assert project.run("--unlock")[0] == 0
    code, error = project.run()
    assert code == 1
    assert f"results/one/train is in use by process {orphan} on " in error
    assert "hint: wait until it ends, or stop it" in error
    os.kill(orphan, signal.SIGKILL)
    code, error = project.run()
    assert code == 0, error
    assert "resuming after epoch" in error


def test_ctrl_c(project):
    """A terminal sends it to the whole process group: to Snakemake and to its jobs."""
    process = project.start()
    project.job(5)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) != 0
    assert "train was stopped by SIGINT after epoch" in project.printed
    assert "Traceback" not in project.printed
    assert project.states[-1] == "INTERRUPTED"
    code, error = project.run()
    assert code == 0, error
    assert "resuming after epoch" in error


def test_a_signal_to_one_process_alone(project):
    """As from `docker stop`: the training has the time for a checkpoint, whoever started it, and goes on from there."""
    log = project.folder / "logs/one/train.log"
    process = project.start("--retries", "2")
    project.job(5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 1
    assert project.states[-1] == "INTERRUPTED"
    log.unlink()
    process = project.start(program=("secateur", "run"))
    project.job(8)
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 75
    assert "resuming after epoch" in log.read_text()
    assert project.printed.endswith(
        "error: the run was stopped by SIGTERM\nhint: run the same command again to resume\n"
    )
    assert project.states[-1] == "INTERRUPTED"
    assert list((project.folder / "work/one/train").iterdir()), "the checkpoint"
