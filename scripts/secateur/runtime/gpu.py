"""Lease whole GPUs to jobs, each GPU to one job at a time.

Snakemake counts GPUs but does not say which one a job has (snakemake#281). Here a job takes devices through locks on
files, one per device. The kernel frees a lock when its holder dies, for whatever reason.

See docs/decisions/gpu-locks.md.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from secateur.errors import ArtifactError
from secateur.storage.locks import acquire, acquire_now, holder_of, write_holder

VISIBLE, OURS, FOLDER = "CUDA_VISIBLE_DEVICES", "SECATEUR_GPUS", "SECATEUR_GPU_LOCKS"
BACKEND = "KERAS_BACKEND"
NO_DEVICE = "-1"
SECONDS_BETWEEN_LOOKS = 0.1
LISTED = re.compile(r"^(?P<indent>\s*)(?:GPU (?P<index>\d+)|MIG).*\(UUID: (?P<uuid>[^)\s]+)\)")
Say = Callable[[str], None]


def several_on(backend: str | None) -> bool:
    """Whether this Keras backend can train one network on several GPUs; None: no backend is chosen."""
    return backend in (None, "jax") and importlib.util.find_spec("jax") is not None


def devices(environment: Mapping[str, str]) -> list[str]:
    """The GPUs that this process may use, by UUID if the driver reports it.

    `SECATEUR_GPUS` decides; else `CUDA_VISIBLE_DEVICES`, with the numbers of nvidia-smi; else all GPUs that nvidia-smi
    lists. Each part of a divided GPU (MIG) counts as a device.
    """
    known = _listed()
    named = environment.get(OURS, environment.get(VISIBLE))
    if named is None:
        return [uuid for parts in known.values() for uuid in parts]
    chosen: list[str] = []
    for name in filter(None, (word.strip() for word in named.split(","))):
        # CUDA itself ignores all names after the first unknown one, which is usually -1.
        if name.startswith("-") or name.lower() in ("none", "void", "nodevfiles"):
            break
        chosen.extend(known.get(name, [name]))
    return list(dict.fromkeys(chosen))


def _listed() -> dict[str, list[str]]:
    """Index -> UUIDs of the GPU or of its parts; empty if there is no driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    try:
        told = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found: dict[str, list[str]] = {}
    whole: dict[str, str] = {}
    for line in told.stdout.splitlines() if told.returncode == 0 else []:
        match = LISTED.match(line)
        if match and match["index"]:
            whole[match["index"]], found[match["index"]] = match["uuid"], []
        elif match and found:
            found[list(found)[-1]].append(match["uuid"])
    return {index: parts or [whole[index]] for index, parts in found.items()}


def lock_folder(environment: Mapping[str, str]) -> Path:
    """The folder of the locks: one per host; or one per SLURM job, since each job can have a device called 0."""
    root = Path(environment.get(FOLDER) or Path(tempfile.gettempdir()) / "secateur-gpus")
    job = environment.get("SLURM_JOB_ID")
    return root / f"job-{_file_name(job)}" if job else root


@contextmanager
def leased(count: int, environment: MutableMapping[str, str], say: Say = lambda words: None) -> Iterator[list[str]]:
    """Hold `count` GPUs while the block runs, and hide the others from this process.

    Enter the block before TensorFlow or JAX is imported. It waits for devices that other jobs hold.

    Args:
        count: 0 hides every GPU; if it is larger than the number of GPUs, all are taken.
        environment: `CUDA_VISIBLE_DEVICES` is set in it.
        say: receives a message if the block must wait.

    Yields:
        The devices; empty for the CPU, if count is 0 or the machine has no GPU.

    Raises:
        ArtifactError: the locks cannot be made.
    """
    pool = devices(environment) if count else []
    held = _gather(pool, min(count, len(pool)), lock_folder(environment), say) if pool else {}
    before = environment.get(VISIBLE)
    environment[VISIBLE] = ",".join(held) or NO_DEVICE
    try:
        yield list(held)
    finally:
        if before is None:
            del environment[VISIBLE]
        else:
            environment[VISIBLE] = before
        for descriptor in held.values():
            os.close(descriptor)


def _gather(pool: list[str], count: int, folder: Path, say: Say) -> dict[str, int]:
    """Device -> descriptor that holds its lock.

    Jobs with the same choice of devices form one queue, and only the first job takes devices, so that jobs for one
    device cannot overtake a job for several forever. Jobs with another choice do not wait in this queue. A job never
    holds one device while it waits for another, so that no deadlock is possible.
    """
    _make(folder)
    queue = _opened(folder / f"queue-{hashlib.sha256(','.join(sorted(pool)).encode()).hexdigest()[:16]}.lock")
    try:
        if not acquire_now(queue, folder):
            say("waiting for a GPU behind another job")
            acquire(queue, folder)
        held = _take(pool, count, folder)
        if not held:
            say(_waiting(count, pool, folder))
        while not held:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            held = _take(pool, count, folder)
        return held
    finally:
        os.close(queue)


def _take(pool: list[str], count: int, folder: Path) -> dict[str, int]:
    """The wanted number of devices, or none. All jobs try in the same order, so one of two competing jobs gets all."""
    held: dict[str, int] = {}
    for device in sorted(pool):
        if len(held) == count:
            break
        descriptor = _opened(folder / f"{_file_name(device)}.lock")
        if acquire_now(descriptor, folder):
            write_holder(descriptor)
            held[device] = descriptor
        else:
            os.close(descriptor)
    if len(held) < count:
        for descriptor in held.values():
            os.close(descriptor)
        return {}
    return {device: held[device] for device in pool if device in held}


def _waiting(count: int, pool: list[str], folder: Path) -> str:
    """A message that names the processes that hold the devices."""
    holders = []
    for device in pool:
        descriptor = _opened(folder / f"{_file_name(device)}.lock")
        if not acquire_now(descriptor, folder):
            holders.append(f"{device} is in use by process {holder_of(descriptor).get('pid', '?')}")
        os.close(descriptor)
    return f"waiting for {'a GPU' if count == 1 else f'{count} GPUs'}: {', '.join(holders)}"


def _make(folder: Path) -> None:
    """Make the folder of the locks so that jobs of other users on the same host can use it too."""
    try:
        for part in (folder.parent, folder) if folder.name.startswith("job-") else (folder,):
            if not part.exists():
                part.mkdir(parents=True, exist_ok=True)
                part.chmod(0o777)
        if folder.is_symlink() or not folder.is_dir():
            raise NotADirectoryError(20, "it is not a folder")
    except OSError as error:
        raise _no_locks(folder, error) from error


def _opened(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        if os.fstat(descriptor).st_uid == os.geteuid() and stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o666:
            os.fchmod(descriptor, 0o666)
    except OSError as error:
        raise _no_locks(path, error) from error
    return descriptor


def _no_locks(path: Path, error: OSError) -> ArtifactError:
    return ArtifactError(
        f"cannot lock GPUs in {path}: {error.strerror or error}",
        f"set {FOLDER} to a folder that every job on this host can write",
    )


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)
