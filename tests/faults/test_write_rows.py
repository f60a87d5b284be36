"""Rows W1 to W10 of docs/reliability.md: kills, full disks, locks, resumption."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from secateur.cli.main import main
from secateur.errors import ArtifactError, LockedError
from secateur.storage.atomic import remove_leftovers, require_writable, write_text
from secateur.storage.locks import locked
from secateur.training.checkpoints import Checkpoints, TrainingState
from secateur.vault import files as vault_files

from tests.conftest import small_files
from tests.faults.killing import die_at
from tests.programs import FORKS
from tests.shared import SMALL, copied

SPEC = """
key: k
data: {source: images, preprocess_mode: tf}
model: {arch: resnet_10, input_image_size: [3, 32, 32], use_batch_norm: True}
train: {num_epochs: 60, batch_size_per_gpu: 4, checkpoint_interval: 2, n_workers: 1}
prune: {threshold: 0.1}
retrain: {num_epochs: 1}
export: {output_path: EXPORTDIR/m.etlt}
"""


class Variable:
    """As Keras' own: what a checkpoint is read into."""

    def __init__(self):
        self.shape, self.value = (1000,), None

    def assign(self, value):
        self.value = value


def killed_at(number, case, folder):
    """Whether the process died, or got to its end."""
    process = FORKS.Process(target=die_at, args=(number, case, str(folder)))
    process.start()
    process.join()
    assert process.exitcode in (0, 9)
    return process.exitcode == 9


def test_w1_a_checkpoint_killed_at_every_step_is_the_one_before_or_the_new(tmp_path):
    number, seen = 0, []
    while True:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        dead = killed_at(number, "checkpoints", folder)
        variable, said = Variable(), io.StringIO()
        state = Checkpoints(folder, "k").read([variable], said)
        assert said.getvalue() == "", "no half of a checkpoint has a final name"
        assert state.epoch == 0 or (variable.value == state.epoch).all()
        seen.append(state.epoch)
        remove_leftovers(folder)
        assert not [path.name for path in folder.iterdir() if ".tmp-" in path.name]
        if not dead:
            break
    assert seen == sorted(seen)
    assert set(seen) == {0, 1, 2, 3, 4}
    assert number > 30


@pytest.mark.parametrize("case", ["artifact", "rekey"])
def test_w1_other_files_too(tmp_path, case):
    number, dead, states = 0, True, set()
    while dead:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "plain").write_bytes(b"content" * 20_000)
        vault_files.encrypt_file(folder / "plain", folder / "m.tlt", "old")
        (folder / "a.json").write_text("old")
        dead = killed_at(number, case, folder)
        if case == "artifact":
            text = (folder / "a.json").read_text()
            assert text in ("old", "new " * 10_000)
            states.add(text)
        else:
            opens = [key for key in ("old", "new") if _opens(folder / "m.tlt", key)]
            assert len(opens) == 1
            states.add(opens[0])
    assert len(states) == 2


def _opens(path, key):
    try:
        return vault_files.read_encrypted(path, key) == b"content" * 20_000
    except Exception:
        return False


def test_w3_a_full_disk_keeps_the_checkpoint_before(tmp_path):
    keeper = Checkpoints(tmp_path, "k")
    keeper.write([np.ones(1000, np.float32)], TrainingState(epoch=1))
    with small_files(3000), pytest.raises(ArtifactError, match=r"it needs [\d,]+ bytes or more") as error:
        keeper.write([np.zeros(1000, np.float32)], TrainingState(epoch=2))
    assert error.value.exit_code == 74
    assert error.value.hint.startswith("free ")
    variable = Variable()
    assert keeper.read([variable], io.StringIO()).epoch == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_w3_no_room_for_an_export_keeps_the_old_file(trained, tmp_path, monkeypatch, short_timing, capsys):
    copied(trained, tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("one.yaml").write_text(SMALL + "export: {output_path: EXPORTDIR/m.etlt}")
    assert main(["export", "-e", "one.yaml"]) == 0
    before = Path("results/one/export/m.etlt").read_bytes()
    with small_files(100_000):
        assert main(["export", "-e", "one.yaml"]) == 74
    error = capsys.readouterr().err
    assert "cannot write results/one/export/m.etlt: File too large; it needs" in error
    assert Path("results/one/export/m.etlt").read_bytes() == before
    assert [path.name for path in Path("results/one/export").iterdir() if ".tmp" in path.name] == []
    assert json.loads(Path("results/one/status.json").read_text().splitlines()[-1])["status"] == "FAILURE"
    assert main(["export", "-e", "one.yaml"]) == 0, "once there is room again"


@pytest.mark.parametrize("place", ["a file", "too long", "read-only"])
def test_w4_a_place_that_cannot_be_written_is_told_before_training(tmp_path, monkeypatch, class_folders, capsys, place):
    monkeypatch.chdir(tmp_path)
    Path("one.yaml").write_text(SPEC)
    Path("file").write_text("")
    Path("closed").mkdir()
    Path("closed").chmod(0o555)
    if place == "read-only" and os.geteuid() == 0:
        pytest.skip("the superuser can write everywhere")
    folder = {"a file": "file/below", "too long": "x" * 300, "read-only": "closed/below"}[place]
    assert main(["split", "-e", "one.yaml", f"results_dir={folder}"]) == 74
    assert main(["train", "-e", "one.yaml", f"results_dir={folder}"]) == 74
    error = capsys.readouterr().err
    assert f"cannot write into {folder}" in error
    assert "epoch" not in error
    with pytest.raises(ArtifactError):
        require_writable(folder)


TRAINING = (
    "import sys; sys.path.insert(0, sys.argv[1]); from secateur.cli.main import main; sys.exit(main(sys.argv[2:]))"
)


def started(folder, repository, *words):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with open(folder / "printed", "w") as printed:
        command = [sys.executable, "-c", TRAINING, str(repository / "scripts"), *words]
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=printed, stderr=printed)


def waited_for(folder, text):
    end = time.monotonic() + 100
    while text not in (folder / "printed").read_text():
        assert time.monotonic() < end, (folder / "printed").read_text()
        time.sleep(0.02)


@pytest.mark.slow
def test_w2_killed_at_random_and_resumed_to_the_same_end(tmp_path, repository):
    """The short form of bench/crash.py: rounds of kills over train, prune, retrain and export."""
    script = repository / "bench/crash.py"
    command = [sys.executable, str(script), "--work", str(tmp_path), "--kills", "5", "--attempts", "3"]
    done = subprocess.run([*command, "--out", str(tmp_path / "out.json")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    # A step that was quicker than its kill goes uncounted; another round follows where that left too few.
    assert found["kills"] >= 5
    assert (found["lost"], found["corrupt"], found["different_ends"]) == (0, 0, 0)
    assert found["trainings_resumed"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2, signal.SIGINT])
def test_w5_signals_stop_with_75_and_the_rest_goes_on(class_folders, tmp_path, repository, number):
    (tmp_path / "one.yaml").write_text(SPEC)
    process = started(tmp_path, repository, "train", "-e", "one.yaml")
    waited_for(tmp_path, "epoch 3/60")
    process.send_signal(number)
    assert process.wait(30) == 75
    printed = (tmp_path / "printed").read_text()
    assert f"error: train was stopped by {number.name} after epoch" in printed
    assert "hint: run the same command again" in printed
    assert json.loads((tmp_path / "results/one/status.json").read_text().splitlines()[-1])["status"] == "INTERRUPTED"
    process = started(tmp_path, repository, "train", "-e", "one.yaml", "train.checkpoint_minutes=5")
    waited_for(tmp_path, "resuming after epoch")
    process.kill()
    process.wait()


@pytest.mark.slow
def test_w5_a_stopped_training_resumes_with_its_images_in_another_folder(class_folders, tmp_path, repository):
    """The same bytes are the same training; a changed label is another one."""
    (tmp_path / "one.yaml").write_text(SPEC)
    process = started(tmp_path, repository, "train", "-e", "one.yaml")
    waited_for(tmp_path, "epoch 3/60")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 75
    class_folders.rename(tmp_path / "photos")
    process = started(tmp_path, repository, "train", "-e", "one.yaml", "data.source=photos")
    waited_for(tmp_path, "resuming after epoch")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 75
    two = sorted((tmp_path / "photos/dark").iterdir())[1]
    two.rename(tmp_path / "photos/light/corrected.jpg")
    process = started(tmp_path, repository, "train", "-e", "one.yaml", "data.source=photos")
    assert process.wait(100) == 2
    printed = (tmp_path / "printed").read_text()
    assert "error: " in printed
    assert "images" in printed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP])
def test_w5_signals_outside_a_training_stop_at_once(class_folders, tmp_path, monkeypatch, capsys, number):
    """While images are scanned, a model is exported, anything: 75, INTERRUPTED, no half of a file."""
    monkeypatch.chdir(tmp_path)
    Path("one.yaml").write_text(SPEC)
    from secateur.data import splitting as module

    def signalled(*positional):
        os.kill(os.getpid(), number)
        time.sleep(1)

    monkeypatch.setattr(module, "similar_pairs", signalled)
    assert main(["split", "-e", "one.yaml"]) == 75
    assert "error: interrupted\nhint: run the same command again" in capsys.readouterr().err
    assert json.loads(Path("results/one/status.json").read_text().splitlines()[-1])["status"] == "INTERRUPTED"
    assert list(Path("results/one/split").iterdir()) == []
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert main(["split", "-e", "one.yaml"]) == 0


def test_w6_two_runs_on_one_results_folder(class_folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("one.yaml").write_text(SPEC)
    ready, release = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        with locked(Path("results/one/.locks/split"), "it"):
            os.write(ready[1], b"x")
            os.read(release[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    assert main(["split", "-e", "one.yaml"]) == 75
    assert f"results/one/split is in use by process {child} on " in capsys.readouterr().err
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert main(["split", "-e", "one.yaml"]) == 0, "a dead holder's lock is free"


def test_w6_without_locks_of_the_file_system(tmp_path, monkeypatch):
    def none(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    (tmp_path / "lock").write_text(json.dumps({"pid": 1, "host": __import__("socket").gethostname(), "since": "x"}))
    with pytest.raises(LockedError, match="process 1"), locked(tmp_path / "lock", "it"):
        pass


def test_w7_clocks_that_jump(class_folders, tmp_path):
    """tests/workflow/test_dag.py runs Snakemake over files with odd times; here, what is our own: leftovers."""
    write_text(tmp_path / ".a.tmp-elsewhere-1", "x")
    future = time.time() + 10 * 24 * 3600
    os.utime(tmp_path / ".a.tmp-elsewhere-1", (future, future))
    remove_leftovers(tmp_path)
    assert (tmp_path / ".a.tmp-elsewhere-1").exists(), "a time in the future is no reason to remove"


def test_w8_a_damaged_checkpoint_falls_back(tmp_path):
    keeper = Checkpoints(tmp_path, "k")
    for epoch in (1, 2):
        keeper.write([np.full(1000, epoch, np.float32)], TrainingState(epoch=epoch))
    newest = keeper.files()[0]
    content = bytearray(newest.read_bytes())
    for damaged in (content[: len(content) // 2], content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]):
        newest.write_bytes(damaged)
        said = io.StringIO()
        assert keeper.read([Variable()], said).epoch == 1
        assert str(newest) in said.getvalue()


def test_w9_another_spec_is_refused_with_what_changed(tmp_path):
    Checkpoints(tmp_path, "k", {"train": {"lr": 0.1}, "classes": ["a"]}).write([np.ones(1000)], TrainingState(epoch=1))
    with pytest.raises(Exception, match=r"train\.lr: 0\.1, now 0\.2") as error:
        Checkpoints(tmp_path, "k", {"train": {"lr": 0.2}, "classes": ["a"]}).read([Variable()], io.StringIO())
    assert "delete" in error.value.hint
    assert error.value.exit_code == 2


def test_w10_a_batch_larger_than_the_data_and_a_loss_that_is_no_number(class_folders, tmp_path, monkeypatch, capsys):
    """Out of memory: tests/unit/training/test_checkpoints.py::test_too_little_memory_names_batch_and_image_size."""
    monkeypatch.chdir(tmp_path)
    Path("one.yaml").write_text(SPEC)
    assert main(["train", "-e", "one.yaml", "train.batch_size_per_gpu=500"]) == 3
    assert "set train.batch_size_per_gpu to" in capsys.readouterr().err
    words = ["train.lr_config.learning_rate=1e30", "train.num_epochs=3", "model.use_batch_norm=False"]
    assert main(["train", "-e", "one.yaml", *words]) == 6
    error = capsys.readouterr().err
    assert "the loss is" in error
    assert "reduce train.lr_config.learning_rate" in error
