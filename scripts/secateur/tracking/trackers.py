"""Send the curves of a training to its trackers.

Each tracker runs in a separate process (`secateur.tracking.process`), because the libraries of trackers wait for
servers, replace functions of other libraries and handle signals. A training never waits for a tracker, and never fails
because of one.

See docs/decisions/trackers-and-telemetry.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from secateur.data.addresses import without_credentials_in
from secateur.errors import InterruptedRunError
from secateur.spec import Spec, TrainSpec
from secateur.spec.tracker_specs import TRACKERS
from secateur.storage.regular_files import append_regular

SUMMARY = ("best_epoch", "val_accuracy", "val_loss", "params", "macs", "training_images", "seconds")
# Seconds for the trackers to send the remaining values after a training; fewer if it was stopped.
LAST_WORDS_S = {"finished": 60.0, "stopped": 10.0, "failed": 10.0}
PACKAGE_ROOT = Path(__file__).parent.parent.parent


class Trackers:
    """The trackers of one training. Without trackers its methods do nothing."""

    def __init__(self, start: Mapping[str, Any], folder: Path, train_spec: TrainSpec, stream: IO[str]) -> None:
        self.start, self.folder, self.train_spec, self.stream = start, folder, train_spec, stream
        self.summary: dict[str, Any] = {}
        self._processes: list[_Process] | None = None

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """Send the values of an epoch to all trackers. The first call starts them."""
        if self._processes is None:
            self._processes = self._started(resumed=epoch > 1)
        for process in self._processes:
            process.send({"epoch": epoch, "time": time.time(), "values": dict(values)})

    def end(self, state: str) -> None:
        """Tell all trackers the end, `finished`, `stopped` or `failed`, and wait some time for them."""
        processes = self._processes or []
        for process in processes:
            process.send(
                {"state": state, "summary": {key: self.summary[key] for key in SUMMARY if key in self.summary}}
            )
        end = time.monotonic() + LAST_WORDS_S[state]
        for process in processes:
            process.wait(max(0.0, end - time.monotonic()))

    def _started(self, resumed: bool) -> list[_Process]:
        start = {**self.start, "resumed": resumed}
        processes = []
        for name in TRACKERS:
            section = getattr(self.train_spec, name)
            if section is None:
                continue
            folder = self.folder / name
            try:
                processes.append(_Process(name, folder, {**start, "options": section.model_dump()}, self.stream))
            except OSError as error:
                print(f"warning: {name}: {error}; the training continues without it", file=self.stream, flush=True)
        return processes


@contextmanager
def tracked(
    experiment: str, step: str, spec: Spec, train_spec: TrainSpec, folder: Path, stream: IO[str]
) -> Iterator[Trackers]:
    """The trackers of a training; the end of the block is sent to them.

    Args:
        experiment: its name.
        step: `train` or `retrain`.
        spec: of the experiment; its key is not sent.
        train_spec: its sections `mlflow`, `wandb` and `clearml` choose the trackers.
        folder: for the files of the trackers.
        stream: receives the place of each run, or the reason why there is none.
    """
    config = without_credentials_in(spec.model_dump(mode="json", exclude={"key", "results_dir"}))
    trackers = Trackers({"experiment": experiment, "step": step, "config": config}, folder, train_spec, stream)
    try:
        yield trackers
    except BaseException as error:
        stopped = isinstance(error, InterruptedRunError | KeyboardInterrupt)
        trackers.end("stopped" if stopped else "failed")
        raise
    trackers.end("finished")


class _Process:
    """The process of one tracker: it receives JSON lines and prints messages for people."""

    def __init__(self, name: str, folder: Path, start: dict[str, Any], stream: IO[str]) -> None:
        self.name, self.stream = name, stream
        self.log = folder / "log.txt"
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": f"{PACKAGE_ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        with append_regular(self.log) as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "secateur.tracking.process", name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                # Ctrl-C must reach only the training, which then sends the end.
                start_new_session=True,
            )
        assert self.process.stdin is not None
        # If a tracker stops reading, the pipe becomes full; the training must not wait for it.
        os.set_blocking(self.process.stdin.fileno(), False)
        self.reader = threading.Thread(target=self._pass_on, daemon=True)
        self.reader.start()
        self.send({**start, "folder": str(folder)})

    def send(self, message: dict[str, Any]) -> None:
        """Send a message. If the process does not accept it, the tracker is not used any more."""
        if self.process.stdin is None or self.process.stdin.closed:
            return
        line = json.dumps(message).encode() + b"\n"
        try:
            if os.write(self.process.stdin.fileno(), line) < len(line):
                raise BlockingIOError
        except OSError:
            self._close()

    def wait(self, seconds: float) -> None:
        """Wait until it has sent the rest, then stop it."""
        self._close()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self._say(f"{self.name}: did not finish in time and was stopped; log: {self.log}")
        self.reader.join(1)

    def _close(self) -> None:
        if self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()

    def _pass_on(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._say(line.decode(errors="replace").rstrip())

    def _say(self, text: str) -> None:
        print(text, file=self.stream, flush=True)
