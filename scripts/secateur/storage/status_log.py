"""`status.json`: one JSON object per line, in the form that TAO's tools read: docs/decisions/status-file.md."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal

from secateur.errors import ArtifactError, InterruptedRunError, SecateurError
from secateur.storage.locks import not_written
from secateur.storage.regular_files import append_regular

State = Literal["STARTED", "RUNNING", "SUCCESS", "FAILURE", "SKIPPED", "INTERRUPTED"]


class StatusLog:
    """Appends lines of one step to a status file; without a file, as in the process of another host, to none."""

    def __init__(self, path: Path | str | None, step: str) -> None:
        self.path = Path(path) if path is not None else None
        self.step = step

    def write(self, state: State, message: str, kpi: Mapping[str, float] | None = None, **more: Any) -> None:
        """Append one line.

        Args:
            state: TAO's status word. INTERRUPTED is our own; it means that the step can be resumed.
            message: for people.
            kpi: figures of the step, such as accuracy.
            more: more fields, such as `epoch`, `time_per_epoch` and `eta`.

        Raises:
            ArtifactError: the results folder cannot be written.
        """
        now = datetime.now()
        line: dict[str, Any] = {
            "date": f"{now.month}/{now.day}/{now.year}",
            "time": f"{now.hour}:{now.minute}:{now.second}",
            "status": state,
            "verbosity": "ERROR" if state == "FAILURE" else "INFO",
            "step": self.step,
            "message": message,
            **more,
        }
        if kpi:
            line["kpi"] = dict(kpi)
        self._append(json.dumps(line, ensure_ascii=False) + "\n")

    def _append(self, line: str) -> None:
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with append_regular(self.path) as stream:
                stream.write(_line_break_if_cut(stream) + line.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise not_written(self.path, error) from error


def _line_break_if_cut(stream: IO[bytes]) -> bytes:
    """Start a new line if a killed process left half a line."""
    end = stream.seek(0, os.SEEK_END)
    if not end:
        return b""
    stream.seek(end - 1)
    return b"" if stream.read(1) == b"\n" else b"\n"


@contextmanager
def reported(status: StatusLog, devices: Sequence[str] = ()) -> Iterator[StatusLog]:
    """Write STARTED with the used GPUs, and at the end the real result: SUCCESS, INTERRUPTED, or FAILURE with its
    reason.
    """
    status.write("STARTED", f"{status.step} started", device=", ".join(devices) or "cpu")
    try:
        yield status
    except KeyboardInterrupt:
        _write_last(status, "INTERRUPTED", f"{status.step} was interrupted")
        raise
    except InterruptedRunError as error:
        _write_last(status, "INTERRUPTED", error.message)
        raise
    except SecateurError as error:
        _write_last(status, "FAILURE", f"{status.step} failed: {error.message}")
        raise
    except BaseException as error:
        _write_last(status, "FAILURE", f"{status.step} failed: {type(error).__name__}")
        raise
    else:
        status.write("SUCCESS", f"{status.step} finished")


def _write_last(status: StatusLog, state: State, message: str) -> None:
    """Write a failure. An error while writing is ignored, so that it does not hide the failure."""
    with suppress(ArtifactError):
        status.write(state, message)
