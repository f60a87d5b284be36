"""Whole GPUs for one job, and each GPU for one job only.

Snakemake counts GPUs and never says which one (snakemake#281). Here a job takes devices through locks on files, one a
device, that the kernel frees when their holder dies, however that happens.

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
    """Whether one network can be trained on several GPUs with this Keras backend; None: where none is named."""
    return backend in (None, "jax") and importlib.util.find_spec("jax") is not None


def devices(environment: Mapping[str, str]) -> list[str]:
    """The GPUs that this process may use, by UUID where the driver tells it.

    `SECATEUR_GPUS` decides; else `CUDA_VISIBLE_DEVICES`, whose numbers are nvidia-smi's; else all that nvidia-smi
    lists. Of a GPU that is divided (MIG) each part counts as a device.
    """
    known = _listed()
    named = environment.get(OURS, environment.get(VISIBLE))
    if named is None:
        return [uuid for parts in known.values() for uuid in parts]
    chosen: list[str] = []
    for name in filter(None, (word.strip() for word in named.split(","))):
        # CUDA itself stops at the first name that it does not know; -1 is the usual one.
        if name.startswith("-") or name.lower() in ("none", "void", "nodevfiles"):
            break
        chosen.extend(known.get(name, [name]))
    return list(dict.fromkeys(chosen))


def _listed() -> dict[str, list[str]]:
    """Index -> UUIDs of the GPU, or of its parts; empty where there is no driver."""
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
    """Where the locks lie: one folder for a host, but one of its own for each job of SLURM, where the device of every
    job may be called 0.
    """
    root = Path(environment.get(FOLDER) or Path(tempfile.gettempdir()) / "secateur-gpus")
    job = environment.get("SLURM_JOB_ID")
    return root / f"job-{_file_name(job)}" if job else root


@contextmanager
def leased(count: int, environment: MutableMapping[str, str], say: Say = lambda words: None) -> Iterator[list[str]]:
    """Hold `count` GPUs while the block runs, and show this process no others.

    To be entered before TensorFlow or JAX is imported. Waits for devices that other jobs hold.

    Args:
        count: 0 hides every GPU; of more than there are, all are taken.
        environment: `CUDA_VISIBLE_DEVICES` is set in it.
        say: is told what is waited for.

    Yields:
        The devices; none means the CPU, since none are wanted, or this machine has none.

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

    Jobs with the same choice of devices stand in one queue, and only the first of it takes any: a job for several is
    not overtaken for ever by jobs for one. Jobs with another choice do not wait behind them. A device is never held
    while another is waited for, so that nobody waits in a circle.
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
    """As many devices as are wanted, or none. All jobs try in one order: of two that meet one comes away with all."""
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
    """Who has the devices, in words."""
    holders = []
    for device in pool:
        descriptor = _opened(folder / f"{_file_name(device)}.lock")
        if not acquire_now(descriptor, folder):
            holders.append(f"{device} is in use by process {holder_of(descriptor).get('pid', '?')}")
        os.close(descriptor)
    return f"waiting for {'a GPU' if count == 1 else f'{count} GPUs'}: {', '.join(holders)}"


def _make(folder: Path) -> None:
    """Other people's jobs on the same host must be able to lock there too."""
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
        f"cannot lock GPUs in {path}: {error.strerror or error}", f"name another folder in {FOLDER}, one for the host"
    )


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)
