"""Bytes of strangers, mutated: does every reader answer with a value or with an error of ours, in bounded time?

    .venv/bin/python bench/fuzz/fuzz.py [--minutes 15] [--only age,keras,...] [--out bench/results/fuzz.json]

Hypothesis picks one of the seeds (`seeds/`, made by `make_seeds.py`) and mutates it: bits, bytes, parts that are cut,
doubled, swapped or taken from another seed; the members of a `.keras` archive are mutated inside it too. A finding is
any exception that is not a SecateurError; its input is kept in a file, and the script ends with 1.
"""

from __future__ import annotations

import argparse
import atexit
import io
import json
import os
import platform
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
sys.path.insert(1, str(Path(__file__).parents[2]))
sys.path.insert(2, str(Path(__file__).parent))

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from mutations import STRATEGIES, mutated
from secateur.cli import inspect as inspection
from secateur.cli.status import progress_of
from secateur.data.manifest import read_manifest
from secateur.data.sources import listed
from secateur.errors import SecateurError
from secateur.run import Run
from secateur.runtime.child import OUT_OF_MEMORY, ComputationError
from secateur.spec import load_spec, parse_spec
from secateur.steps.bundle import bundle
from secateur.steps.index import experiment
from secateur.steps.run_facts import read_facts
from secateur.vault import age

from tests.faults.damaged_results import damages

ROOT = Path(__file__).parents[2]
SEEDS = Path(__file__).parent / "seeds"
SLOW_S = 20
STOPPED_S = 5
WALL_S = 60
READ, RAISED, REFUSED, NO_MEMORY = 0, 1, 2, 3
KEY = "k"
EXAMPLES_A_ROUND = 200
MEMORY_BYTES = 3 << 29  # as the product's own limit
TOLD_BYTES = 4000
FOUND = Path(tempfile.gettempdir()) / f"secateur-fuzz-{os.getpid()}"


def read_age(content: bytes) -> None:
    """A mutated work factor may ask for seconds of scrypt, by right: such inputs are left out."""
    if b" 4\n" in content[:80]:
        age.open(io.BytesIO(content), io.BytesIO(), KEY)


def read_manifest_bytes(content: bytes) -> None:
    """The table that split writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.csv"
        path.write_bytes(content)
        read_manifest(path)


def read_table(content: bytes) -> None:
    """A table of images, CSV or Parquet."""
    read_source("photos.parquet" if content.startswith(b"PAR1") else "photos.csv", content)


def read_archive(content: bytes) -> None:
    """A zip or tar of class folders."""
    read_source("photos.zip" if content.startswith(b"PK") else "photos.tar", content)


def read_source(name: str, content: bytes) -> None:
    """Any file that holds or names images."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        listed(str(path), "data.source", "first", Path(folder) / "unpacked")


def read_voc(content: bytes) -> None:
    """An annotation of Pascal VOC."""
    with tempfile.TemporaryDirectory() as folder:
        for part in ("JPEGImages", "Annotations"):
            (Path(folder) / part).mkdir()
        (Path(folder) / "Annotations/0.xml").write_bytes(content)
        listed(folder, "data.source", "largest", folder)


def read_spec(content: bytes) -> None:
    """Any YAML."""
    parse_spec(content)


def read_keras(content: bytes) -> None:
    """What `inspect` sees of a decrypted file."""
    with_limits(lambda: inspection.described(content, "m.keras"))


def read_onnx(content: bytes) -> None:
    """What `byom` makes of an ONNX file. The libraries of ONNX compute in this process, which has their limits."""
    from secateur.byom import onnx_runtime
    from secateur.byom.from_onnx import keras_from_onnx

    def computed(function: str, given: bytes, path: Path) -> Any:
        try:
            return getattr(onnx_runtime, function.partition(":")[2])(given)
        except Exception as error:
            raise ComputationError(str(error)) from error

    def read() -> None:
        onnx_runtime.computed = computed
        keras_from_onnx(path)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        path.write_bytes(content)
        with_limits(read)


def with_limits(read: Callable[[], Any]) -> None:
    """Read in a process that can be killed, as the product does."""
    told, telling = os.pipe()
    child = os.fork()
    if not child:
        os._exit(_outcome(read, telling))
    os.close(telling)
    if not select.select([told], [], [], WALL_S)[0]:
        os.kill(child, signal.SIGKILL)
    with os.fdopen(told, "rb") as stream:
        said = stream.read().decode("utf-8", "replace")
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == NO_MEMORY:
        raise StoppedError("did not come to an end", "do not trust it")
    if os.WEXITSTATUS(status) == REFUSED:
        raise SecateurError(said)
    if os.WEXITSTATUS(status) != READ:
        raise RuntimeError(said)


def _outcome(read: Callable[[], Any], telling: int) -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (STOPPED_S, STOPPED_S))
    reserved = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (reserved + MEMORY_BYTES, reserved + MEMORY_BYTES))
    try:
        read()
    except MemoryError:
        return NO_MEMORY
    except SecateurError as error:
        os.write(telling, error.message.encode("utf-8", "replace")[:TOLD_BYTES])
        return REFUSED
    except BaseException as error:
        if any(word in str(error) for word in OUT_OF_MEMORY):
            return NO_MEMORY
        os.write(telling, "".join(traceback.format_exception(error)).encode("utf-8", "replace")[-TOLD_BYTES:])
        return RAISED
    return READ


def read_sidecar(content: bytes) -> None:
    """A file of a finished run; its name, a null byte, and its content."""
    name, _, damaged = content.partition(b"\0")
    path = finished_run() / name.decode()
    good = path.read_bytes()
    path.write_bytes(damaged)
    refused: list[SecateurError] = []
    try:
        for reader in (read_facts, lambda run: bundle(run, io.StringIO()), row_of_index, status_of):
            try:
                reader(RUN[0])
            except SecateurError as error:
                refused.append(error)
    finally:
        path.write_bytes(good)
    if refused:
        raise refused[0]


def row_of_index(run: Run) -> None:
    """As the page over all experiments."""
    experiment("one", run)


def status_of(run: Run) -> None:
    """As `secateur status`."""
    progress_of("one", run, [])


RUN: list[Run] = []


def finished_run() -> Path:
    """The results of a small run in a temporary folder."""
    if not RUN:
        folder = Path(tempfile.mkdtemp(prefix="secateur-fuzz-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        shutil.copytree(SEEDS / "run", folder / "results")
        (folder / "results/export/m.onnx").write_bytes(b"the bundle copies it")
        RUN.append(Run("one", load_spec(folder / "results/one.yaml"), folder / "results", folder / "work"))
    return RUN[0].results


class StoppedError(SecateurError):
    """The limits of the process ended the reading."""


TARGETS: dict[str, Callable[[bytes], None]] = {
    "age": read_age,
    "manifest": read_manifest_bytes,
    "spec": read_spec,
    "keras": read_keras,
    "table": read_table,
    "archive": read_archive,
    "voc": read_voc,
    "onnx": read_onnx,
    "sidecar": read_sidecar,
}


def seeds(target: str) -> list[bytes]:
    """The inputs that mutation starts from."""
    if target == "sidecar":
        return [named(path, path.read_bytes()) for path in files_of_run()]
    return [path.read_bytes() for path in sorted(SEEDS.glob(f"{target}*"))]


def files_of_run() -> list[Path]:
    """The JSON and CSV files of the small run."""
    return [path for path in sorted((SEEDS / "run").rglob("*")) if path.suffix in (".json", ".csv")]


def named(path: Path, content: bytes) -> bytes:
    """An input for `read_sidecar`."""
    return str(path.relative_to(SEEDS / "run")).encode() + b"\0" + content


def every_damage() -> list[bytes]:
    """Each value of each file of the run, removed or replaced."""
    return [named(path, content) for path in files_of_run() for _, content in damages(path)]


def fuzz(target: str, seconds: float, examples: int = EXAMPLES_A_ROUND) -> dict[str, Any]:
    """Feed one reader rounds of examples for so long, at least one round.

    Returns:
        Numbers of inputs, of those that were read, refused, and stopped by a limit, and the slowest in seconds.

    Raises:
        RuntimeError: the finding; its input is in the file that the message names.
    """
    counts = {"inputs": 0, "read": 0, "refused": 0, "stopped": 0, "slowest_s": 0.0}
    corpus = seeds(target)
    strategy = STRATEGIES.get(target, mutated)(corpus)
    first = every_damage() if target == "sidecar" and seconds else []
    Path("/proc/self/clear_refs").write_text("5")

    def one(content: bytes) -> None:
        counts["inputs"] += 1
        begun = time.process_time()
        try:
            TARGETS[target](content)
            counts["read"] += 1
        except SecateurError as error:
            assert error.message
            stopped = isinstance(error, StoppedError)
            counts["stopped" if stopped else "refused"] += 1
            if stopped:
                FOUND.with_name(f"{FOUND.name}-stopped-{target}").write_bytes(content)
        except Exception:
            FOUND.write_bytes(content)
            raise
        taken = time.process_time() - begun
        counts["slowest_s"] = max(counts["slowest_s"], round(taken, 2))
        if taken > SLOW_S:
            FOUND.write_bytes(content)
            raise TimeoutError(f"took {taken} s")

    for content in first:
        one(content)
    end = time.monotonic() + seconds
    while not counts["inputs"] or time.monotonic() < end:
        run = settings(
            max_examples=examples,
            derandomize=not seconds,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )(given(strategy)(one))
        try:
            run()
        except Exception as error:
            what = f"{type(error).__name__}: {str(error)[-600:]}"
            raise RuntimeError(f"{target}: {what}; the input is in {FOUND}") from None
    return {**counts, "peak_mib": peak_mib()}


def peak_mib() -> int:
    """Largest resident memory of this process since it was last forgotten."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) >> 10


def main() -> None:
    """Fuzz each target in turn and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15, help="for each reader")
    parser.add_argument("--examples", type=int, default=EXAMPLES_A_ROUND, help="in a round; 0 minutes are one round")
    parser.add_argument("--only", default=",".join(TARGETS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = {name: fuzz(name, 60 * options.minutes, options.examples) for name in options.only.split(",")}
    about = {name: version(name) for name in ("hypothesis", "h5py", "pyyaml", "pandas", "cryptography")}
    report = {"minutes_each": options.minutes, "uncaught": 0, **found, "python": platform.python_version(), **about}
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
