"""Seconds that a step's process takes to import Keras with TensorFlow, as they come and as secateur's steps do it.

    .venv/bin/python bench/imports.py [--rounds 5] [--out bench/results/imports.json]

Each import is in a process of its own, the cases in turn; of each case the least CPU seconds (user and system) and the
least peak memory count. JAX is an extra: what is imported as they come depends on whether it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

SCRIPTS = Path(__file__).parent.parent / "scripts"
LEAN = "from secateur.runtime.import_hooks import skip_unused_imports; skip_unused_imports(); "
HIDDEN = "sys.modules['jax'] = None; "
CASES = {
    "as they come, JAX installed": "",
    "as they come, JAX not installed": HIDDEN,
    "as secateur's steps do it": LEAN,
}
MEGABYTE = 1000  # in kB, as ru_maxrss is


def main() -> None:
    """Measure and print; write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measured(CASES[options.case])))
        return
    found: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
    for _ in range(options.rounds):
        for case in CASES:
            found[case].append(_in_process(case))
    result = {case: {name: min(row[name] for row in rows) for name in rows[0]} for case, rows in found.items()}
    ours = result["as secateur's steps do it"]["cpu_seconds"]
    report = {
        **{case: {**row, "ratio": round(row["cpu_seconds"] / ours, 2)} for case, row in result.items()},
        "conditions": conditions(),
    }
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n")


def _in_process(case: str) -> dict[str, float]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, __file__, "--case", case], env=environment, capture_output=True, text=True, check=True
    )
    row: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return row


def measured(before: str) -> dict[str, float]:
    """Of this process, once Keras is imported."""
    exec(f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); {before}import keras")
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "largest_memory_mb": used.ru_maxrss // MEGABYTE,
        "modules": len(sys.modules),
    }


def conditions() -> dict[str, object]:
    """Machine and versions."""
    return {
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("keras", "tensorflow", "jax", "scikit-learn", "matplotlib")},
    }


if __name__ == "__main__":
    main()
