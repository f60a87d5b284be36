"""Signals that ask a job to stop: at once outside a training, between two batches inside one.

SIGTERM comes from `kill`, a container or a batch system, SIGUSR2 from SLURM near a job's time limit, SIGINT is Ctrl-C.

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
    """While the block runs, each of the signals raises KeyboardInterrupt, which unwinds it."""
    with _handled_by(signal.default_int_handler):
        yield


class StopRequest:
    """While it is entered, the first signal is only noted; a second SIGINT raises KeyboardInterrupt.

    Attributes:
        signal: name of the signal that came; empty before.
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
    """Python lets only the main thread set handlers; in another one nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
