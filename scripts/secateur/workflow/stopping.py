"""A signal to Snakemake's process reaches its jobs.

A terminal sends Ctrl-C to all processes. `kill`, `docker stop`, systemd and Kubernetes can send a signal to one process
only: Snakemake then waits for its jobs, which have not heard of it. See docs/decisions/signals-and-exit-codes.md.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from secateur.runtime.processes import Process, ask_to_stop

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECONDS_BETWEEN_LOOKS = 0.2


class SignalsToJobs:
    """Sends SIGTERM to the jobs of this process when it gets one of the signals, and then does what Snakemake does.

    Jobs that start later get it too. A second signal changes nothing: the jobs are about to end.
    """

    def __init__(self) -> None:
        self.finish: Callable[[int, FrameType | None], Any] | None = None
        self.told = self.interrupted = False

    def install(self) -> None:
        """Handle the signals, except ignored ones, as of `nohup`.

        Call it when the Snakefile is read, and again when the jobs start: by then Snakemake has set its own handler for
        SIGTERM, which starts no more jobs and ends when the running ones have ended.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number in STOP_SIGNALS:
            handler = signal.getsignal(number)
            if handler is signal.SIG_IGN or handler == self._stop:
                continue
            ours = isinstance(getattr(handler, "__self__", None), SignalsToJobs)
            if number == signal.SIGTERM and callable(handler) and not ours:
                self.finish = handler
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if not self.told:
            self.told = True
            threading.Thread(target=_tell_jobs, daemon=True).start()
        if self.finish and number != signal.SIGINT:
            # Not in this thread: the handler waits for a lock, which the interrupted line can hold.
            threading.Thread(target=self.finish, args=(number, None), daemon=True).start()
        elif not self.interrupted:
            self.interrupted = True
            # As KeyboardInterrupt, but without a traceback where Snakemake does not catch it.
            raise SystemExit("error: interrupted\nhint: run the same command again")


def _tell_jobs() -> None:
    """Send SIGTERM to each job once, until this process ends."""
    asked: set[Process] = set()
    while True:
        ask_to_stop(os.getpid(), asked)
        time.sleep(SECONDS_BETWEEN_LOOKS)
