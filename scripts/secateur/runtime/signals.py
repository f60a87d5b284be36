"""Signals that stop a job: at once outside a training, between two batches in a training.

SIGTERM comes from `kill`, a container or a batch system; SIGUSR2 from SLURM near a job's time limit; SIGINT from
Ctrl-C.

See docs/decisions/signals-and-exit-codes.md.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn each of the signals into KeyboardInterrupt while the block runs."""
    with _handled_by(signal.default_int_handler):
        yield


class StopRequest:
    """Notes the first signal while its block runs; a second SIGINT raises KeyboardInterrupt.

    Attributes:
        signal: name of the signal that arrived; empty before.
    """

    def __init__(self) -> None:
        self.signal = ""
        self._handlers = _handled_by(self._note)

    def __enter__(self) -> StopRequest:
        self._handlers.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._handlers.__exit__(*error)

    def __bool__(self) -> bool:
        return bool(self.signal)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        self.signal = signal.Signals(number).name


@contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    """Set handlers for the signals. Python allows this in the main thread only; other threads change nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
