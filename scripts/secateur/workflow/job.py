"""The frame of every workflow script around its step: log, errors, exit code."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, TextIO

from secateur.errors import InterruptedRunError, SecateurError, format_error
from secateur.run import Run, run_from
from secateur.runtime.gpu import BACKEND, leased, several_on
from secateur.runtime.import_hooks import skip_unused_imports
from secateur.runtime.onednn import use_onednn
from secateur.runtime.signals import stoppable
from secateur.runtime.terminal import printable, redraws
from secateur.runtime.threads import use_threads
from secateur.spec.notices import shown_by_steps
from secateur.step_table import COMMON_STEPS, STEPS
from secateur.storage.regular_files import append_regular

# The step that prints the remarks about the spec, so that they stand once in the output of a run.
FIRST_STEP = "split"
# Lines without the experiment's name: errors, which name their file or key and their log, and continued lines.
UNNAMED = ("error:", "hint:", "log:", " ")


class Tee:
    """A text stream to the terminal and to the log. It goes on with the log alone when the terminal is closed.

    Text that redraws a line is not written to the log. On the terminal, which shows several experiments, each line
    begins with the name of its experiment.
    """

    def __init__(self, console: TextIO, log: TextIO, name: str = "") -> None:
        self.console, self.log, self.name = console, log, name
        self.encoding = console.encoding
        self.at_start = True

    def write(self, text: str) -> int:
        """Write to both."""
        if redraws(text):
            self._show(text)
            self.at_start = text.endswith("\r")  # a removed progress bar leaves an empty line
            return len(text)
        shown = printable(text)
        self._show("".join(map(self._named, shown.splitlines(keepends=True))))
        self.log.write(shown)
        return len(text)

    def _show(self, text: str) -> None:
        """Write to the terminal."""
        with suppress(OSError):
            self.console.write(text)

    def _named(self, line: str) -> str:
        wanted = self.name and self.at_start and line.strip() and not line.startswith(UNNAMED)
        self.at_start = line.endswith("\n")
        return f"{self.name}  {line}" if wanted else line

    def flush(self) -> None:
        """Flush both."""
        with suppress(OSError):
            self.console.flush()
        self.log.flush()

    def fileno(self) -> int:
        """The descriptor of the terminal, so that its width can be found."""
        return self.console.fileno()

    def isatty(self) -> bool:
        """Whether the output is a terminal."""
        return self.console.isatty()


@contextmanager
def logged(log_path: str, name: str = "") -> Iterator[IO[str]]:
    """Send all output of this process, also from C++ code, to the log. Yields a stream for messages.

    On the terminal lines begin with `name`. A SecateurError ends the process with its message and its exit code; its
    traceback is written beside the log.
    """
    Path(log_path).parent.mkdir(parents=True, exist_ok=True)
    console = os.fdopen(os.dup(2), "w", encoding=sys.stderr.encoding, errors="backslashreplace")
    # It lives as long as the process.
    log = io.TextIOWrapper(append_regular(log_path), "utf-8", "replace", line_buffering=True)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    use_onednn(os.environ)
    skip_unused_imports()
    stream: Any = Tee(console, log, name)
    try:
        with stoppable():
            yield stream
    except SecateurError as error:
        _keep_traceback(log_path)
        print(f"{format_error(error)}\nlog: {log_path}", file=stream, flush=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("error: interrupted\nhint: run the same command again to resume", file=stream, flush=True)
        sys.exit(InterruptedRunError.exit_code)
    except Exception as error:
        where = _keep_traceback(log_path)
        print(f"error: {type(error).__name__}: {error}\nlog: {log_path}, {where}", file=stream, flush=True)
        sys.exit(1)


def _keep_traceback(log_path: str) -> str:
    """Write the traceback to a separate file, since Snakemake shows the log of a failed job. Returns the path."""
    path = f"{log_path.removesuffix('.log')}.traceback.log"
    with suppress(OSError), append_regular(path) as file:
        file.write(traceback.format_exc().encode("utf-8", "replace"))
    return path


def run_step(snakemake: Any, step: str, **wildcards: str) -> None:
    """Run the step of a rule for the rule's experiment, with the GPUs and threads from Snakemake.

    Args:
        snakemake: the object that Snakemake gives to scripts.
        step: its name.
        wildcards: more arguments of the step, such as `stage`.
    """
    with job(snakemake) as (run, stream):
        if step == FIRST_STEP:
            for notice in shown_by_steps(run.spec.notices):
                print(notice, file=stream, flush=True)
        STEPS[step].load()(run, stream, **wildcards)


@contextmanager
def job(snakemake: Any) -> Iterator[tuple[Run, IO[str]]]:
    """The run of a rule's experiment, with its GPUs and threads, and the stream for messages.

    Args:
        snakemake: the object that Snakemake gives to scripts: wildcards, params.run, resources, threads, log.
    """
    use_threads(snakemake.threads, os.environ)
    with logged(snakemake.log[0], snakemake.wildcards.experiment) as stream:
        run = replace(run_from(snakemake.wildcards.experiment, snakemake.params.run), threads=snakemake.threads)
        with on_gpus(run, snakemake.rule, snakemake.resources.get("gpu", 0), os.environ, stream) as equipped:
            yield equipped, stream


def run_common_step(snakemake: Any, step: str, **arguments: Any) -> None:
    """Run a step over several experiments. It uses no GPU.

    Args:
        snakemake: as for `run_step`.
        step: its name.
        arguments: of its function, except `stream`.
    """
    use_threads(snakemake.threads, os.environ)
    with logged(snakemake.log[0]) as stream, leased(0, os.environ):
        COMMON_STEPS[step].load()(stream=stream, **arguments)


@contextmanager
def on_gpus(run: Run, step: str, count: int, environment: MutableMapping[str, str], stream: IO[str]) -> Iterator[Run]:
    """The run with its leased GPUs; see `leased`.

    On several GPUs JAX trains, unless the environment sets `KERAS_BACKEND`: with TensorFlow `keras.distribution` is not
    ready for use.
    """

    def say(words: str) -> None:
        print(f"{step}  {words}", file=stream, flush=True)

    backend = environment.get(BACKEND)
    with leased(count if several_on(backend) else min(count, 1), environment, say) as held:
        if len(held) > 1 and backend is None:
            environment[BACKEND] = "jax"
        if held:
            say(f"on GPU {' and '.join(held)}")
        yield replace(run, devices=tuple(held))
