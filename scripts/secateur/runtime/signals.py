"""Signals that stop a job: at once outside a training, between two batches in a training.

SIGTERM comes from `kill`, a container or a batch system; SIGUSR2 from SLURM near a job's time limit; SIGINT from
Ctrl-C; SIGHUP from a terminal that is closed.

See docs/decisions/signals-and-exit-codes.md.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP)
# One Ctrl-C can arrive twice: from the terminal, and from a program that passes it on. A person takes longer.
TWICE_S = 1.0


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn each of the signals into KeyboardInterrupt while the block runs."""
    last = -TWICE_S

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before >= TWICE_S:
            signal.default_int_handler(number, frame)

    with _handled_by(stop):
        yield


class StopRequest:
    """Notes the first signal while its block runs; a second SIGINT, not right after it, raises KeyboardInterrupt.

    Attributes:
        signal: name of the signal that arrived; empty before.
    """

    def __init__(self) -> None:
        self.signal = ""
        self._since = 0.0
        self._handlers = _handled_by(self._note)

    def __enter__(self) -> StopRequest:
        self._handlers.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._handlers.__exit__(*error)

    def __bool__(self) -> bool:
        return bool(self.signal)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.signal:
            self.signal, self._since = signal.Signals(number).name, time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self._since >= TWICE_S:
            signal.default_int_handler(number, frame)


@contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    """Set handlers for the signals. Python allows this in the main thread only; other threads change nothing.

    An ignored SIGHUP stays ignored: `nohup` lets a process outlive its terminal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    before = {
        number: signal.signal(number, handler) for number in STOP_SIGNALS if not (ignored and number == signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
