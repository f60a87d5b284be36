"""Machines as users have them: containers, users without a name, poor folders, old consoles, signals to one process."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from secateur.cli.main import main
from secateur.runtime.machine import said

from tests.conftest import write_class_folders
from tests.shared import SMALL
from tests.workflows import stand_in

pytestmark = pytest.mark.slow
SPEC = "key: env:TEST_KEY\ndata: {source: images, preprocess_mode: tf}\nmodel: {arch: resnet_10}\n"
MANIFEST = "results/one/split/manifest.csv"
CLASS = "Größe 猫"
# No entry in passwd. The capability is for reading only: the interpreter can be in root's home.
UID = 54321
STRANGER = [
    "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups",
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
]  # fmt: skip
# What the processes of one test see: no semaphores, a tiny folder, nothing to be executed in /tmp, a checkout that
# cannot be written. Files are private.
POOR = """
set -e
mount -t tmpfs -o ro none /dev/shm
mount -t tmpfs -o size=64k,mode=1777 none /var/tmp
mount --bind /tmp /tmp
mount -o remount,bind,noexec /tmp
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
umask 077
shift
exec "$@"
"""
SNAKEMAKE = ["-m", "snakemake", "--cores", "1"]
RUN = ["-m", "secateur", "run"]


class Poor:
    """A project in a folder of a stranger, with files of somebody else, on a poor machine."""

    def __init__(self, folder, repository):
        self.folder, self.repository = folder, repository

    def __call__(self, words, **environment):
        """Run Python with the words; its environment has nothing else."""
        inside = ["bash", "-c", POOR, "poor", str(self.repository), *STRANGER, sys.executable, *words]
        given = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(self.repository / "scripts"), "TEST_KEY": "k"}
        return subprocess.run(
            ["unshare", "-m", *inside],
            cwd=self.folder, env={**given, **environment}, capture_output=True, text=True, check=False,
        )  # fmt: skip


def write_project(folder):
    write_class_folders(folder / "images")
    (folder / "images/dark").rename(folder / "images" / CLASS)
    (folder / "config").mkdir()
    (folder / "config/config.yaml").write_text("experiments: {one: one.yaml}\n")
    (folder / "one.yaml").write_text(SPEC)


@pytest.fixture
def poor(tmp_path, repository):
    if os.geteuid():
        pytest.skip("only root can become another user")
    if any(Path(place).resolve().is_relative_to("/tmp") for place in (repository, sys.prefix)):
        pytest.skip("the checkout or its environment is below /tmp, where nothing can be executed in these tests")
    for command in (["unshare", "-m", "bash", "-c", POOR, "poor", str(repository), "true"], [*STRANGER, "true"]):
        if not shutil.which(command[0]) or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip(f"{command[0]} does not work here")
    folder = tmp_path / "project"
    folder.mkdir()
    write_project(folder)
    os.chown(folder, UID, UID)
    return Poor(folder, repository)


def test_the_command_that_the_dockerfile_documents(poor):
    """As a user without a name, with the variables of the image. The file is no value of --resources."""
    text = (poor.repository / "Dockerfile").read_text()
    documented = re.search(r"^# docker run .*? secateur (.*)$", text, re.MULTILINE).group(1)
    program, *entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.MULTILINE).group(1))
    variables = dict(re.findall(r"\b(\w+)=(\S+)", re.search(r"^ENV (.*)$", text, re.MULTILINE).group(1)))
    entry = [word.replace("/opt/secateur", str(poor.repository)) for word in entry]
    done = poor(["-m", program, *entry, *shlex.split(documented), MANIFEST], HOME=variables["HOME"])
    assert done.returncode == 0, done.stderr
    assert f"run  {said({'USER': f'uid{UID}'})}" in done.stderr
    assert CLASS in (poor.folder / "results/one/split/classmap.json").read_text()


def test_everything_is_missing_at_once(poor):
    done = poor(
        [*RUN, "-s", str(poor.repository / "Snakefile"), MANIFEST],
        HOME="/", TMPDIR="/var/tmp", LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    home = poor.folder / ".snakemake/secateur/home"
    utf8 = {"PYTHONUTF8": "1", "PYTHONIOENCODING": "ascii"}
    user = {"USER": f"uid{UID}", "LOGNAME": f"uid{UID}"}
    first, second = done.stderr.splitlines()[:2]
    assert first == said(utf8)
    assert second == f"run  {said({**user, 'TMPDIR': '/tmp', 'HOME': str(home)})}"
    assert CLASS in (poor.folder / "results/one/split/classmap.json").read_text()
    assert (poor.folder / MANIFEST).stat().st_mode & 0o777 == 0o600
    assert "Traceback" not in done.stderr


def test_snakemake_itself_as_far_as_it_reads_the_snakefile(poor):
    """Without HOME it ends before, with a traceback of Snakemake: `secateur run` is for that."""
    words = [*SNAKEMAKE, "-s", str(poor.repository / "Snakefile"), "--", MANIFEST]
    done = poor(words, HOME=str(poor.folder), TMPDIR="/var/tmp", LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert f"USER=uid{UID} LOGNAME=uid{UID} PYTHONUTF8=1 PYTHONIOENCODING=ascii\n" in done.stderr
    assert CLASS in (poor.folder / "results/one/split/classmap.json").read_text()
    assert "Traceback" not in done.stderr


def test_a_folder_of_somebody_else(poor):
    os.chown(poor.folder, 0, 0)
    done = poor([*RUN, "-n"], HOME=str(poor.folder))
    assert done.returncode == 74
    assert done.stderr == (
        f"error: {poor.folder} cannot be written by the user with number {UID}, or its disk is full\n"
        "hint: run as the owner of the folder, or name another with -d\n"
    )


def test_an_old_console(tmp_path, repository):
    """A class has a name that it cannot print."""
    write_project(tmp_path)
    (tmp_path / "images/light/00.jpg").unlink()
    kept = {name: value for name, value in os.environ.items() if name not in ("LANG", "PYTHONDONTWRITEBYTECODE")}
    environment = {**kept, "TEST_KEY": "k", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"}
    shown = []
    for words in (
        ["-m", "secateur", "new", "images", "--name", "two"],
        [*SNAKEMAKE, "-s", str(repository / "Snakefile"), "--summary"],
        ["-m", "secateur", "status", "--once"],
    ):
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, (words, done.stderr)
        assert b"Traceback" not in done.stderr, words
        shown.append(done.stdout + done.stderr)
    assert b"the largest class is Gr\xf6\xdfe \\u732b with 12" in shown[0]


def test_a_training_without_semaphores(class_folders, tmp_path, monkeypatch, capsys):
    """No /dev/shm: Python can make no lock between processes, and so no pool of threads."""

    def none(*positional, **named):
        raise OSError(38, "Function not implemented")

    (tmp_path / "one.yaml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", none)
    assert main(["train", "-e", "one.yaml"]) == 0
    assert "train  this machine has no usable /dev/shm: no batches are read in advance" in capsys.readouterr().err
    assert main(["evaluate", "-e", "one.yaml"]) == 0


# A step that works until it is stopped, in the frame of every step.
WORKS = """
import time
from pathlib import Path
from secateur.workflow.job import logged
with logged(snakemake.log[0], "one"):
    Path("started").touch()
    time.sleep(100)
"""


@pytest.fixture
def working(tmp_path):
    """Starts Snakemake or `secateur run` in a separate process group; the process, when a step works."""
    snakefile = stand_in(tmp_path / "workflow")
    (snakefile.parent / "scripts/split.py").write_text(WORKS)
    folder = tmp_path / "project"
    folder.mkdir()
    write_project(folder)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**kept, "TEST_KEY": "k"}

    def start(words, *more, snakefile=snakefile, inside=()):
        with open(folder / "printed", "w") as printed:
            process = subprocess.Popen(
                [*inside, sys.executable, *words, "-s", str(snakefile), *more, "--", MANIFEST],
                cwd=folder, env=environment, stdout=printed, stderr=printed, start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + 120
        while not (folder / "started").exists():
            assert process.poll() is None, (folder / "printed").read_text()
            assert time.monotonic() < end
            time.sleep(0.05)
        return process

    start.folder, start.snakefile = folder, snakefile
    return start


def children_of(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def assert_stopped(working, process, code):
    assert process.wait(60) == code
    printed = (working.folder / "printed").read_text()
    assert printed.count("error: interrupted") == 2, "the step says it, and Snakemake about the step"
    assert "Traceback" not in printed
    assert not [entry for entry in Path("/proc").glob("[0-9]*/stat") if in_session(entry, process.pid)]
    assert not list((working.folder / ".snakemake/locks").glob("*"))
    return printed


def in_session(entry, session):
    try:
        return int(entry.read_text().rpartition(")")[2].split()[3]) == session
    except OSError:
        return False


@pytest.mark.parametrize(
    ("words", "name", "times"),
    [
        (SNAKEMAKE, "SIGTERM", 1), (SNAKEMAKE, "SIGINT", 2), (SNAKEMAKE, "SIGHUP", 1),
        (RUN, "SIGTERM", 2), (RUN, "SIGINT", 1),
    ],
)  # fmt: skip
def test_a_signal_to_one_process_alone(working, words, name, times):
    """As from `kill`, `docker stop`, systemd, Kubernetes. With retries: the step that was stopped is not repeated."""
    process = working(words, "--retries", "2")
    for _ in range(times):
        process.send_signal(getattr(signal, name))
        time.sleep(0.1)
    printed = assert_stopped(working, process, 75 if words == RUN else 1)
    assert (f"error: the run was stopped by {name}\nhint: run the same command again" in printed) == (words == RUN)


def test_the_first_process_of_a_container(working):
    """The kernel gives it no signal that it does not handle, and makes it the parent of all orphans."""
    inside = ["unshare", "--pid", "--fork", "--mount-proc"]
    if os.geteuid() or subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare does not work here")
    process = working(RUN, inside=inside)
    os.kill(children_of(process)[0], signal.SIGTERM)
    assert_stopped(working, process, 75)


def test_a_workflow_that_has_this_one_as_a_module(working, repository):
    """With the lines of docs/module.md."""
    onstart = re.search(r"^onstart:\n(?: .*\n)+", (repository / "docs/module.md").read_text(), re.MULTILINE).group()
    own = working.folder / "Snakefile"
    own.write_text(
        f'module secateur:\n    snakefile: "{working.snakefile}"\n'
        '    config: {"experiments": {"one": "one.yaml"}}\n\n'
        f"use rule * from secateur as secateur_*\n\n{onstart}"
    )
    process = working(SNAKEMAKE, snakefile=own)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 1
    assert "error: interrupted" in (working.folder / "printed").read_text()


def test_ctrl_c_for_secateur_run(working):
    """A terminal sends it to the group: Snakemake hears of it twice, the step too."""
    process = working(RUN)
    os.killpg(process.pid, signal.SIGINT)
    assert_stopped(working, process, 75)


def test_the_end_of_secateur_run_and_of_snakemake(working):
    """Killed, as by a system without memory: what they have started is stopped all the same."""
    process = working(RUN)
    process.kill()
    end = time.monotonic() + 60
    while any(in_session(entry, process.pid) for entry in Path("/proc").glob("[0-9]*/stat")):
        assert time.monotonic() < end
        time.sleep(0.1)
        process.poll()
    (working.folder / "started").unlink()
    process = working(RUN)
    os.kill(children_of(process)[0], signal.SIGKILL)
    assert process.wait(60) == 75
    printed = (working.folder / "printed").read_text()
    assert printed.endswith(
        "error: Snakemake was killed\nhint: run `secateur run --unlock`, then the same command again\n"
    )
    assert "error: interrupted" in printed


def test_a_signal_while_jobs_are_looked_for_leaves_no_lock(tmp_path):
    snakefile = stand_in(tmp_path / "workflow")
    with open(snakefile, "a") as file:
        file.write(
            "\ndef stopped(wildcards):\n    os.kill(os.getpid(), signal.SIGTERM)\n    return []\n\n"
            'rule stopped:\n    input: stopped\n    output: "x"\n    shell: "touch x"\n'
        )
    write_project(tmp_path)
    words = [sys.executable, *SNAKEMAKE, "-s", str(snakefile), "--", "x"]
    done = subprocess.run(
        words, cwd=tmp_path, env={**os.environ, "TEST_KEY": "k"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.endswith("error: interrupted\nhint: run the same command again\n")
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / ".snakemake/locks").glob("*"))
