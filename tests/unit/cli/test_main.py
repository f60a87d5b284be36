"""The command line as a shell sees it."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("words", ["check {spec}", "convert {spec}"])
def test_a_reader_that_ends_first_is_no_error(repository, words):
    """As `secateur check SPEC | head -1`: quiet, and with the code of a program that SIGPIPE has ended."""
    command = words.format(spec=repository / "config/specs/quickstart.yaml").split()
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "secateur", *command],
            stdout=closed,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(repository / "scripts")},
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, b"")
