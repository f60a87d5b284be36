"""Read an HDF5 file in a separate process first, to see whether its library finishes.

With a damaged heap libhdf5 loops forever in C code, where no signal stops it. Other damage has made it crash. So a
separate process, which can be killed, reads the weights of a model before this one does.

See docs/decisions/untrusted-models.md.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from secateur.errors import UntrustedModelError
from secateur.models.h5 import read_named_weights
from secateur.runtime.child import ComputationError, Limits, computed

# One gigabyte of weights takes about one second. Weights hardly compress.
LIMITS = Limits(cpu_s=5, memory_per_byte=32)
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
    try:
        computed(f"{__name__}:probe", content, path, LIMITS)
    except ComputationError:
        pass  # this process meets the same error, and its message names the file
    except UntrustedModelError as error:
        raise UntrustedModelError(f"{error.message}; the file is corrupt or hostile", "do not trust it") from error
    _proven.add(digest)


def probe(content: bytes) -> bytes:
    """In the other process: read all weights."""
    read_named_weights(content, "")
    return b""
