"""Programs in processes of their own that have their libraries already: a start costs a fork, not the imports.

It is what the program's own command runs, with its own arguments, folder, environment, output and exit code. The
package itself is among nothing that is imported before.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path

LIBRARIES = (
    "pandas", "pydantic", "jsonschema", "PIL.Image", "fsspec", "cryptography.hazmat.bindings.openssl.binding",
    "snakemake.cli", "snakemake.profiles", "snakemake.storage", "snakemake.report.html_reporter", "dvc.cli.parser",
)  # fmt: skip
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(list(LIBRARIES))


def run_module(
    module: str, words: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run([sys.executable, "-m", module, *words], cwd=folder, env=environment)`, its text captured."""
    with tempfile.TemporaryDirectory() as place:
        printed = [Path(place, name) for name in ("out", "err")]
        process = FORKS.Process(target=_run, args=(module, list(words), str(folder), dict(environment), printed))
        process.start()
        process.join()
        out, err = (path.read_text(errors="replace") for path in printed)
    return subprocess.CompletedProcess([module, *words], process.exitcode or 0, out, err)


def _run(module: str, words: list[str], folder: str, environment: dict[str, str], printed: list[Path]) -> None:
    for descriptor, path in enumerate(printed, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = ["", *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
