"""Conda environments with the pins of the lock files: `make environments` writes envs/secateur.yaml and -gpu.yaml.

Optional: for `snakemake --sdm conda`. Conda cannot read a lock with digests, so these have the versions alone.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ENVS = Path(__file__).parent
WRITTEN = {"secateur.yaml": "cpu.lock", "secateur-gpu.yaml": "gpu.lock"}
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s\\;]+)", re.MULTILINE)
PYTHON = "3.11"


def pins(lock: Path) -> dict[str, str]:
    """Package -> version of a lock file."""
    return {match["name"].lower().replace("_", "-"): match["version"] for match in PIN.finditer(lock.read_text())}


def environment(lock: Path) -> str:
    """The text of the conda environment with a lock's pins."""
    packages = [f"{name}=={version}" for name, version in pins(lock).items()]
    content = {
        "channels": ["conda-forge"],
        "dependencies": [f"python={PYTHON}", "pip", {"pip": packages}],
    }
    return f"# Written by `make environments` from {lock.name}.\n" + yaml.safe_dump(content, sort_keys=False)


if __name__ == "__main__":
    for name, lock in WRITTEN.items():
        (ENVS / name).write_text(environment(ENVS / lock))
