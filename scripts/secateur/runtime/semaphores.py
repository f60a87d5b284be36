"""Locks that processes share. Python makes them for a pool of threads too."""

from __future__ import annotations

import multiprocessing

# The model is the same without them.
NONE = "this machine has no usable /dev/shm: no batches are read in advance, no TensorBoard events are written"


def have_semaphores() -> bool:
    """Whether they can be made. They live in /dev/shm, which small containers can lack."""
    try:
        multiprocessing.Lock()
    except (OSError, ImportError):
        return False
    return True
