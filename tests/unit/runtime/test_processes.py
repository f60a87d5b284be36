"""The processes below a process."""

import os
import signal
import subprocess
import sys

from secateur.runtime.processes import ask_to_stop, started_by

# A shell that stays, since a command follows.
SHELL = ["bash", "-c", f"{sys.executable} -c 'print(1, flush=True); import time; time.sleep(30)'; exit 5"]


def test_a_shell_is_passed_over():
    earlier = started_by(os.getpid())
    with subprocess.Popen(SHELL, stdout=subprocess.PIPE) as shell:
        assert shell.stdout.readline() == b"1\n"
        found = [process for process in started_by(os.getpid()) if process not in earlier]
        assert shell.pid not in [process.pid for process in found]
        inner = next(process for process in found if process.command.startswith(sys.executable.encode()))
        asked = set()
        ask_to_stop(shell.pid, asked)
        assert asked == {inner}
        assert shell.wait() == 5, "the shell itself was not asked"


def test_each_process_is_asked_once():
    code = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: print(2, flush=True)); print(1, flush=True)\n"
    code += "while True: time.sleep(30)"
    # Below a shell, since the processes of other tests are below this one.
    command = ["bash", "-c", '"$0" -c "$1"; exit 5', sys.executable, code]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as shell:
        assert shell.stdout.readline() == b"1\n"
        asked = set()
        for _ in range(3):
            (process,) = ask_to_stop(shell.pid, asked)
        assert shell.stdout.readline() == b"2\n"
        os.kill(process.pid, signal.SIGKILL)
        assert shell.stdout.read() == b""


def test_names_with_brackets(tmp_path):
    program = tmp_path / "a) S 1 (b"
    program.symlink_to(sys.executable)
    with subprocess.Popen(
        [program, "-IS", "-c", "print(1, flush=True); import time; time.sleep(30)"], stdout=-1
    ) as process:
        process.stdout.readline()
        assert process.pid in [one.pid for one in started_by(os.getpid())]
        process.kill()
