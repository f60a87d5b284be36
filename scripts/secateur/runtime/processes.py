"""The processes that a process has started, as Linux lists them in /proc."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass

# They run a command and wait for it. Told to stop they would end before it does, and it would run on alone.
SHELLS = ("sh", "bash", "dash")
ZOMBIE = "Z"


@dataclass(frozen=True)
class Process:
    """A running process.

    Attributes:
        pid: its number.
        command: its command line. A process has another one before and after `exec`, with the same number.
    """

    pid: int
    command: bytes


def started_by(pid: int) -> list[Process]:
    """The processes that `pid` has started; instead of a shell, those that the shell has started."""
    parents: dict[int, list[tuple[int, str]]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdecimal():
            with suppress(OSError):
                parent, program, state = _status(int(name))
                if state != ZOMBIE:
                    parents.setdefault(parent, []).append((int(name), program))
    found, waiting = [], [pid]
    while waiting:
        for child, program in parents.get(waiting.pop(), []):
            if program in SHELLS:
                waiting.append(child)
            else:
                with suppress(OSError):
                    found.append(Process(child, _read(f"/proc/{child}/cmdline")))
    return found


def ask_to_stop(pid: int, asked: set[Process]) -> list[Process]:
    """Send SIGTERM to the processes that `pid` has started, except those in `asked`, which become more.

    Returns:
        All of them that run.
    """
    found = started_by(pid)
    for process in found:
        if process not in asked:
            asked.add(process)
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGTERM)
    return found


def _status(pid: int) -> tuple[int, str, str]:
    """The parent, the name of the program and the state, from `PID (NAME) STATE PARENT ...`: see proc(5)."""
    before, _, after = _read(f"/proc/{pid}/stat").decode("utf-8", "replace").rpartition(")")
    state, parent, *_ = after.split()
    return int(parent), before.partition("(")[2], state


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
