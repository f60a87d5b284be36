"""Read an HDF5 file in a separate process first, to see whether its library finishes.

With a damaged heap libhdf5 loops forever in C code, where no signal stops it. Other damage has made it crash. So a
separate process, which can be killed, reads the weights of a model before this one does.

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

# One gigabyte of weights takes about one second.
MAX_CPU_S, BYTES_PER_CPU_S = 5, 20 << 20
MAX_WALL_S = 600
MAX_MEMORY_BYTES = 16 << 30
CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from secateur.models.h5_sandbox import probe; probe(int(sys.argv[2]))"
)
_proven: set[str] = set()


def require_readable(content: bytes, path: Path | str) -> None:
    """Refuse an HDF5 file that its library cannot read to the end. Other errors are not reported here.

    Args:
        content: the file.
        path: its name, for the error.

    Raises:
        UntrustedModelError: reading the file takes too long or too much memory, or crashes.
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
        raise UntrustedModelError(
            f"{path}: reading the weights timed out or crashed; the file is corrupt or hostile", "do not trust it"
        )
    _proven.add(digest)


def probe(seconds: int) -> None:
    """The part of the separate process: read the file from standard input with limited CPU time and memory."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    try:
        read_named_weights(sys.stdin.buffer.read(), "")
    except UntrustedModelError:
        # The calling process meets the same error and knows the name of the file.
        return
