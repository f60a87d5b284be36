"""What libraries in C++ print past Python."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silenced() -> Iterator[None]:
    """Send the standard error of this process nowhere, that of its C++ parts included, while the block runs."""
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)


def keras_imported_quietly() -> None:
    """TensorFlow logs about its build while it is imported, before any of its own settings can stop it."""
    with silenced():
        import keras  # noqa: F401, PLC0415
    # Remarks about TensorFlow's own machinery, which no user of a command can act upon.
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="tensorflow")
