"""Silence the output of C++ libraries, which Python cannot catch."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silenced() -> Iterator[None]:
    """Discard the standard error of this process, also of C++ code, while the block runs."""
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)


def keras_imported_quietly() -> None:
    """Import Keras without TensorFlow's messages about its build, which no setting of TensorFlow can stop."""
    with silenced():
        import keras  # noqa: F401, PLC0415
    # These remarks are about TensorFlow's internals; a user cannot do anything about them.
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="tensorflow")
