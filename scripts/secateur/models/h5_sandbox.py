"""Whether the HDF5 library comes to an end with a file: tried in a process of its own first.

A damaged heap sends libhdf5 round in circles for ever, deep in C where no signal reaches it; other damage has made it
crash. So the weights of a model are read once by a process that may be killed, and only then by this one.

See docs/decisions/untrusted-models.md.
"""

from __future__ import annotations

import hashlib
import resource
import subprocess
import sys
from pathlib import Path

from secateur.errors import UntrustedModelError
from secateur.models.h5 import read_named_weights

# A gigabyte of weights takes about a second.
MAX_CPU_S, BYTES_PER_CPU_S = 5, 20 << 20
MAX_WALL_S = 600
MAX_MEMORY_BYTES = 16 << 30
CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from secateur.models.h5_sandbox import probe; probe(int(sys.argv[2]))"
)
_proven: set[str] = set()


def require_readable(content: bytes, path: Path | str) -> None:
    """Refuse an HDF5 file that its library does not come to an end with; what it says of others is not told here.

    Args:
        content: the file.
        path: its name, for the error.

    Raises:
        UntrustedModelError: reading it takes too long, too much memory, or crashes.
    """
    digest = hashlib.sha256(content).hexdigest()
    if digest in _proven:
        return
    seconds = MAX_CPU_S + len(content) // BYTES_PER_CPU_S
    command = [sys.executable, "-c", CODE, str(Path(__file__).parents[2]), str(seconds)]
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=MAX_WALL_S, check=False)
        ended_well = done.returncode == 0
    except subprocess.TimeoutExpired:
        ended_well = False
    if not ended_well:
        raise UntrustedModelError(f"{path}: its weights are damaged: reading them does not end", "do not trust it")
    _proven.add(digest)


def probe(seconds: int) -> None:
    """The process's own part: read what comes on standard input, in so much CPU time and bounded memory."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    try:
        read_named_weights(sys.stdin.buffer.read(), "")
    except UntrustedModelError:
        # The process that asked finds the same, and has the name of the file.
        return
