"""Run a program as the first process of a container must: it hears of every signal, and nothing outlives it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from secateur.runtime.processes import Process, ask_to_stop
from secateur.runtime.signals import STOP_SIGNALS

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# What `docker stop` grants.
GRACE_S = 10.0
SECONDS_BETWEEN_LOOKS = 0.1


def supervised(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, list[signal.Signals]]:
    """Run a program to its end and pass signals on to it.

    When it was stopped or killed, the processes that it has left behind are asked to stop, and get ten seconds.

    Returns:
        Its exit code, negative for the number of a signal that ended it; and the signals that arrived here.
    """
    received: list[signal.Signals] = []
    process: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        if process:
            _send(process.pid, number)

    library = ctypes.CDLL(None)
    # Processes whose parent has ended become children of this one, which can then find and reap them.
    library.prctl(PR_SET_CHILD_SUBREAPER, 1)
    with _handled_by(pass_on):
        process = subprocess.Popen(
            command,
            env=dict(environment),
            # It hears of the end of this process too, whatever ends it. This process has one thread.
            preexec_fn=lambda: library.prctl(PR_SET_PDEATHSIG, signal.SIGTERM),  # noqa: PLW1509
        )
        for number in list(received):
            _send(process.pid, number)
        code = _end_of(process)
        if code < 0 or received:
            _stop_the_rest()
    return code, received


@contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    """Set the handler for all signals that stop a job, except those that are ignored, as by `nohup`."""
    numbers = [number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _send(pid: int, number: int) -> None:
    """Send a signal. SLURM's SIGUSR2 means the end of the time; Snakemake itself ignores it."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM if number == signal.SIGUSR2 else number)


def _end_of(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a process, and reap every other one that ends until then."""
    while True:
        pid, status = os.wait()
        if pid == process.pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode


def _stop_the_rest() -> None:
    """Ask all processes below this one to stop, and wait for them. What does not stop is named."""
    asked: set[Process] = set()
    end = time.monotonic() + GRACE_S
    while (left := ask_to_stop(os.getpid(), asked)) and time.monotonic() < end:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    if left:
        numbers = ", ".join(str(process.pid) for process in left)
        print(f"warning: processes that were asked to stop are still running: {numbers}", file=sys.stderr)
