"""A program and all that it has started, under signals. Each test runs in a separate process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

RUN = """
import sys
from secateur.runtime import supervisor
supervisor.GRACE_S = 0.5
code, signals = supervisor.supervised([sys.executable, "-c", sys.argv[1]], {})
print(code, *(number.name for number in signals))
"""
# Prints `ready`, and how it was asked to end.
WAITS = """
import os, signal, sys, time
def end(number, frame):
    os.write(1, f"child {signal.Signals(number).name}\\n".encode())
    sys.exit(7)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, end)
print("ready", flush=True)
time.sleep(30)
"""
# A grandchild that notes its end in a file; the child is killed, as by a system without memory.
LEAVES = """
import os, signal, subprocess, sys, time
CODE = '''
import signal, sys, time
from pathlib import Path
def end(number, frame):
    Path("told").touch()
    sys.exit()
signal.signal(signal.SIGTERM, end)
Path("started").touch()
time.sleep(30)
'''
silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
subprocess.Popen(["sh", "-c", f"{sys.executable} -c '{CODE}'; true"], **silent)
while not os.path.exists("started"):
    time.sleep(0.02)
os.kill(os.getpid(), signal.SIGKILL)
"""


def started(code, folder, **options):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, code],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(REPOSITORY / "scripts")},
        stdout=subprocess.PIPE, text=True, start_new_session=True, **options,
    )  # fmt: skip


def test_the_exit_code(tmp_path):
    assert started("raise SystemExit(3)", tmp_path).communicate()[0] == "3\n"


@pytest.mark.parametrize(
    ("sent", "heard"),
    [("SIGINT", "SIGINT"), ("SIGTERM", "SIGTERM"), ("SIGHUP", "SIGHUP"), ("SIGUSR2", "SIGTERM")],
)
def test_a_signal_to_the_first_process_alone(tmp_path, sent, heard):
    process = started(WAITS, tmp_path)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, sent))
    assert process.communicate()[0] == f"child {heard}\n7 {sent}\n"


def test_an_ignored_signal_stays_ignored(tmp_path):
    """As by nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = started(WAITS, tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[0] == "child SIGTERM\n7 SIGTERM\n"


def test_the_end_of_the_first_process_is_the_end_of_the_child(tmp_path):
    process = started(WAITS, tmp_path)
    assert process.stdout.readline() == "ready\n"
    process.kill()
    assert process.communicate()[0] == "child SIGTERM\n"


def test_what_a_killed_program_leaves_behind_is_told(tmp_path):
    process = started(LEAVES, tmp_path)
    assert process.communicate()[0] == "-9\n"
    assert (tmp_path / "told").exists()


def test_what_does_not_stop_is_named(tmp_path):
    stubborn = LEAVES.replace("sys.exit()", "time.sleep(3)")
    process = started(stubborn, tmp_path, stderr=subprocess.PIPE)
    error = process.communicate()[1]
    assert error.startswith("warning: processes that were asked to stop are still running: ")
    os.kill(int(error.split()[-1]), signal.SIGKILL)


def test_orphans_are_reaped(tmp_path):
    """A container's first process inherits them."""
    code = "import subprocess; print(subprocess.Popen(['sh', '-c', 'sleep 0.1 & echo $!'], stdout=subprocess.PIPE)"
    code += ".stdout.readline().decode().strip(), flush=True); import time; time.sleep(1)"
    process = started(code, tmp_path)
    pid = int(process.stdout.readline())
    end = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, "it was reaped while the program ran"
    assert process.communicate()[0] == "0\n"
