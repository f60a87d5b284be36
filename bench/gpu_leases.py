"""Processes that want GPUs at the same time, some of them killed: does one device ever have two users, is one lost?

    .venv/bin/python bench/gpu_leases.py [--processes 100] [--devices 3] [--seed 0] [--out FILE.json]

Each process wants one to all devices, holds them for a moment and ends; a third die by SIGKILL, half of them while they
hold devices and half at a random moment, mostly while they wait. A user writes its number into a file of the device and
looks whether a living process stands there already: that is independent of the locks. At the end each device must be
free again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPTS = Path(__file__).parent.parent / "scripts"
LONGEST_HOLD_S, LONGEST_LIFE_S = 0.2, 6.0
# How processes end; a third are killed.
ENDS = ("end", "end", "end", "end", "dies while it holds", "dies at some moment")
USER = """
import os, random, signal, sys, threading, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from secateur.runtime.gpu import leased

PF_EXITING = 4  # of the kernel, include/linux/sched.h

def lives(pid):
    try:
        state, *_, flags = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[:7]
        # A killed process loses its locks a moment before it is a zombie.
        return state not in "ZX" and not int(flags) & PF_EXITING
    except (OSError, IndexError):
        return False

def die():
    os.kill(os.getpid(), signal.SIGKILL)

folder, want, hold, end, life = Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5], float(sys.argv[6])
if end == "dies at some moment":
    timer = threading.Timer(life, die)
    timer.daemon = True
    timer.start()
with leased(want, os.environ) as held:
    for device in held:
        mark = folder / f"{device}.user"
        if mark.exists() and (pid := mark.read_text()) and lives(pid):
            print(f"overlap on {device}: {pid}", flush=True)
        mark.write_text(str(os.getpid()))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(held) and len(held) == want
    print("leased", flush=True)
    time.sleep(hold)
    if end == "dies while it holds":
        die()
    for device in held:
        (folder / f"{device}.user").write_text("")
"""


def contend(processes: int, devices: int, seed: int) -> dict[str, float | int]:
    """Start them all at once; returns counts and seconds."""
    rng = random.Random(seed)
    names = [f"gpu{number}" for number in range(devices)]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SECATEUR_GPUS": ",".join(names), "SECATEUR_GPU_LOCKS": f"{folder}/locks"}
        environment.pop("SLURM_JOB_ID", None)
        started = time.monotonic()
        users = []
        for _ in range(processes):
            times = (rng.uniform(0, LONGEST_HOLD_S), rng.choice(ENDS), rng.uniform(0.1, LONGEST_LIFE_S))
            command = [sys.executable, "-c", USER, str(SCRIPTS), folder, str(rng.randint(1, devices)), *map(str, times)]
            users.append(
                subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            )
        printed = [user.communicate(timeout=300)[0] for user in users]
        seconds = time.monotonic() - started
        last = subprocess.run(
            [sys.executable, "-c", USER, str(SCRIPTS), folder, str(devices), "0", "end", "0"],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    died = [text for user, text in zip(users, printed, strict=True) if user.returncode == -9]
    return {
        "processes": processes,
        "devices": devices,
        "killed": len(died),
        "killed while they held devices": sum("leased" in text for text in died),
        "failed": sum(user.returncode not in (0, -9) for user in users),
        "leases": sum("leased" in text for text in printed),
        "overlaps": sum(text.count("overlap") for text in printed),
        "leaked": 0 if "leased" in last.stdout else devices,
        "seconds": round(seconds, 1),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=100)
    parser.add_argument("--devices", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = contend(options.processes, options.devices, options.seed)
    print(json.dumps(found, indent=2))
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
