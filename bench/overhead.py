"""What Snakemake itself costs: wall time of the demo minus the time of its jobs.

    .venv/bin/python bench/overhead.py [--out bench/results/overhead.json]

The quickstart runs in an empty folder, one job after the other, so that times add up. A job's time is what Snakemake
recorded for it: the start of its script's Python to its end. Then the run that finds nothing to do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent


def snakemake(folder: Path) -> float:
    """Run the workflow in `folder`; seconds."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "snakemake", "-s", str(REPOSITORY / "Snakefile"), "-d", str(folder)]
    started = time.monotonic()
    subprocess.run([*command, "--cores", "all", "--jobs", "1"], env=environment, check=True, capture_output=True)
    return time.monotonic() - started


def job_times(folder: Path) -> dict[str, float]:
    """Rule -> seconds of its jobs, out of Snakemake's records."""
    # One record an output; the outputs of a job have its log in common.
    spans: dict[tuple[str, str], tuple[float, float]] = {}
    for record in (folder / ".snakemake/metadata").rglob("*"):
        if record.is_file():
            about = json.loads(record.read_text())
            job = (about["rule"], str(about["log"]))
            start, end = spans.get(job, (about["starttime"], about["endtime"]))
            spans[job] = (min(start, about["starttime"]), max(end, about["endtime"]))
    rules: dict[str, float] = {}
    for (rule, _), (start, end) in spans.items():
        rules[rule] = rules.get(rule, 0) + end - start
    return rules


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(REPOSITORY / "config", folder / "config")
        wall, rules = snakemake(folder), job_times(folder)
        again = snakemake(folder)
    jobs = sum(rules.values())
    found = {
        "wall_s": round(wall, 1),
        "jobs_s": round(jobs, 1),
        "overhead_s": round(wall - jobs, 1),
        "overhead_share": round((wall - jobs) / wall, 3),
        "nothing_to_do_s": round(again, 2),
        "rules_s": {rule: round(seconds, 1) for rule, seconds in sorted(rules.items())},
    }
    print(json.dumps(found, indent=2))
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
