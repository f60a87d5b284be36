"""Copies of the workflow in other folders."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.programs import run_module

REPOSITORY = Path(__file__).parent.parent
PARTS = ("Snakefile", "rules", "scripts", "profiles", "envs")
# Writes its own name into each output.
STAND_IN = """
from pathlib import Path
for path in map(Path, snakemake.output):
    path.write_text(str(path)) if path.suffix else path.mkdir()
"""


def copied_to(folder: Path, parts: tuple[str, ...] = PARTS) -> Path:
    """Copy parts of the repository; returns where the Snakefile is among them."""
    for part in parts:
        source, target = REPOSITORY / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return folder / "Snakefile"


def stand_in(folder: Path) -> Path:
    """The workflow with scripts that do next to nothing, where only Snakemake's part is wanted: that one is real."""
    snakefile = copied_to(folder)
    for script in (folder / "scripts").glob("*.py"):
        script.write_text(STAND_IN)
    return snakefile


def snakemake(*words: str, folder: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it in a folder, with more in its environment."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return run_module("snakemake", words, folder or Path.cwd(), {**kept, **environment})
