"""Compute something from the bytes of a stranger in a process with limits, which can be stopped at any time.

A library that loops or allocates in C code obeys no signal and no exception.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from secateur import errors
from secateur.errors import SecateurError, UntrustedModelError

NO_MEMORY, FAILED = 1, 3
# On a machine with many processors the threads of libraries reserve gigabytes that nobody uses.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
# Libraries in C++ put an allocation that failed into the text of an error of theirs.
OUT_OF_MEMORY = ("bad_alloc", "Failed to allocate memory")
PR_SET_PDEATHSIG = 1
WALL_PER_CPU = 4
CODE = "import sys; sys.path.insert(0, sys.argv[1]); from secateur.runtime.child import main; main(*sys.argv[2:])"


class ComputationError(Exception):
    """The function raised an error; the message is its first line.

    Attributes:
        error: the error, if it is one of ours.
    """

    def __init__(self, message: str, error: SecateurError | None = None) -> None:
        super().__init__(message)
        self.error = error


@dataclass(frozen=True)
class Limits:
    """What a process may take, in proportion to the content it reads.

    Attributes:
        memory_bytes: without any content, beside the program and its libraries.
        memory_per_byte: more for each byte of the content.
        cpu_s: without any content; the wall time is `WALL_PER_CPU` times as long.
        bytes_per_cpu_s: content for which one more second is allowed.
    """

    memory_bytes: int = 3 << 29
    memory_per_byte: int = 8
    cpu_s: int = 60
    bytes_per_cpu_s: int = 20 << 20

    def of(self, content: bytes) -> tuple[int, int]:
        """Bytes of memory and seconds of CPU time."""
        seconds = self.cpu_s + len(content) // self.bytes_per_cpu_s
        return self.memory_bytes + self.memory_per_byte * len(content), seconds


def computed(function: str, content: bytes, path: Path | str, limits: Limits | None = None) -> bytes:
    """The result of a function of bytes, from another process.

    Args:
        function: `module:name`; it takes and returns bytes.
        content: its argument.
        path: of the file, for the error.
        limits: of the process.

    Raises:
        UntrustedModelError: the process met a limit, or crashed.
        ComputationError: the function raised an error.
    """
    memory, seconds = (limits or Limits()).of(content)
    command = [sys.executable, "-c", CODE, str(Path(__file__).parents[2]), function, str(memory), str(seconds)]
    try:
        # Any exception, that of a signal too, ends the child.
        done = subprocess.run(
            command,
            input=content,
            capture_output=True,
            env={**os.environ, **ONE_THREAD},
            timeout=WALL_PER_CPU * seconds,
            check=False,
        )
        code, said = done.returncode, done.stderr.decode("utf-8", "replace").strip()
    except subprocess.TimeoutExpired:
        code, said = -signal.SIGXCPU, ""
    if code == 0:
        return done.stdout
    if code == FAILED and said:
        raise _raised(*json.loads(said.splitlines()[-1]))
    met = (
        f"more than {seconds} s of computing"
        if code in (-signal.SIGXCPU, -signal.SIGKILL)
        else f"more than {memory >> 20:,} MiB of memory, or it crashes the library"
    )
    raise UntrustedModelError(f"{path}: reading it takes {met}", "do not trust it; export the model again")


def main(function: str, memory: str, seconds: str) -> None:
    """The part of the other process: content from standard input, result to standard output."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    module, _, name = function.partition(":")
    compute = getattr(importlib.import_module(module), name)
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
    most = int(memory) + _reserved_bytes()
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What libraries print must not be part of the result.
    result = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        found = compute(sys.stdin.buffer.read())
    except MemoryError:
        os._exit(NO_MEMORY)
    except Exception as error:
        if any(word in str(error) for word in OUT_OF_MEMORY):
            os._exit(NO_MEMORY)
        print(json.dumps(_told(error)), file=sys.stderr, flush=True)
        os._exit(FAILED)
    with result:
        result.write(found)


def _told(error: Exception) -> list[str]:
    """Name, message and hint of an error of ours; of another one its first line."""
    if isinstance(error, SecateurError):
        return [type(error).__name__, error.message, error.hint]
    return ["", (str(error).splitlines() or [type(error).__name__])[0], ""]


def _raised(name: str, message: str, hint: str) -> ComputationError:
    kind = getattr(errors, name, None) if name else None
    return ComputationError(message, kind(message, hint) if kind else None)


def _reserved_bytes() -> int:
    """The addresses that this process has reserved."""
    with open("/proc/self/statm", encoding="ascii") as stream:
        return int(stream.read().split()[0]) * resource.getpagesize()
