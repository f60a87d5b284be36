"""Programs that start by a fork of a process that has imported the large libraries: TensorFlow takes five seconds.

`programs` makes `python`, `snakemake`, `secateur` and `dvc` for a PATH, and Snakemake's jobs run by that `python`. They
run what the real ones run, with their own arguments, folder, environment, output, signals and exit code; only the
imports of other packages are done before. Of this package nothing is imported. Tests that kill processes, or are about
how a process starts, take the real programs.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from multiprocessing import get_context
from pathlib import Path

LIBRARIES = (
    "pandas", "pydantic", "jsonschema", "PIL.Image", "fsspec", "cv2", "onnx", "onnxruntime", "matplotlib.figure",
    "cryptography.hazmat.bindings.openssl.binding", "snakemake.cli", "snakemake.script", "snakemake.profiles",
    "snakemake.storage", "snakemake.report.html_reporter", "dvc.cli.parser", "tensorflow", "keras",
)  # fmt: skip
PROGRAMS = ("python", "snakemake", "secateur", "dvc")
# Processes that run a function of a test.
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload([name for name in LIBRARIES if name not in ("tensorflow", "keras")])
# As in the fixture `short_timing`.
TIMING, TIMING_S = "secateur.export.timing", 0.05
CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
program, words = os.path.basename(sys.argv[0]), sys.argv[1:]
if program == "python" and words and words[0].startswith("-") and words[0] != "-m" or program == "python" and not words:
    os.execv({python!r}, [{python!r}, *words])
server = socket.socket(socket.AF_UNIX)
server.connect({server!r})
asked = json.dumps([program, words, os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
server.sendall(asked)
answers = server.makefile()
process = int(answers.readline())
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
    signal.signal(number, lambda number, frame: os.kill(process, number))
sys.exit(int(answers.readline()))
"""


@cache
def programs() -> Path:
    """The folder of the programs. Their server is started by the first call in a process, and ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="programs-"))
    place = str(folder / "server")
    for name in PROGRAMS:
        program = folder / name
        program.write_text(CLIENT.format(python=sys.executable, server=place))
        program.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    server = subprocess.Popen(
        [sys.executable, __file__, place],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert server.stdin is not None
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    atexit.register(server.stdin.close)
    return folder


def run_module(
    module: str, words: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run([sys.executable, "-m", module, *words], cwd=folder, env=environment)`, its text captured."""
    return subprocess.run(
        [str(programs() / module), *words],
        cwd=folder, env=dict(environment), capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip


def _serve(place: str) -> None:
    """Take requests until the end. Returns in the process that is to run one."""
    _import_libraries()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    print("ready", flush=True)
    while True:
        if 0 in select.select([0, listener], [], [])[0]:
            shutil.rmtree(_PROGRAMS)  # the process that asked for them has ended
            os._exit(0)
        client, _ = listener.accept()
        if os.fork():
            client.close()
            continue
        listener.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if _request(client):
            return


def _request(client: socket.socket) -> bool:
    """Become the program (True), in a fork of the process that waits for it and sends its exit code."""
    size, streams, _, _ = socket.recv_fds(client, 8, 3)
    with client.makefile("rb") as stream:
        program, words, folder, environment = json.loads(stream.read(int.from_bytes(size, "big")))
    process = os.fork()
    if process:
        client.sendall(f"{process}\n".encode())
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        client.sendall(f"{code if code >= 0 else 128 - code}\n".encode())
        os._exit(0)
    client.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [program, *words]
    return True


def _run() -> None:
    """Run the program of `sys.argv` as Python would."""
    sys.meta_path.insert(0, _Timing())
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    program, *words = sys.argv
    if program != "python":
        sys.executable = str(_PROGRAMS / "python")
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    elif words[0] == "-m":
        sys.argv = words[1:]
        sys.path.insert(0, os.getcwd())
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(words[0]).resolve().parent))
        runpy.run_path(words[0], run_name="__main__")


def _import_libraries() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    hooks = runpy.run_path(str(Path(__file__).parent.parent / "scripts/secateur/runtime/import_hooks.py"))
    onednn = runpy.run_path(str(Path(__file__).parent.parent / "scripts/secateur/runtime/onednn.py"))
    onednn["use_onednn"](os.environ)
    hooks["skip_unused_imports"]()
    for name in LIBRARIES:
        __import__(name)
    sys.meta_path.remove(hooks["_FINDER"])


class _Timing(MetaPathFinder):
    """Latencies are measured with fewer calls."""

    def find_spec(self, name, path, target):  # type: ignore[no-untyped-def]
        if name != TIMING:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = partial(_short, spec.loader.exec_module)  # type: ignore[method-assign]
        return spec


def _short(execute, module):  # type: ignore[no-untyped-def]
    execute(module)
    module.SECONDS_A_NETWORK = TIMING_S


def _ended() -> int:
    """Run it to its end, with what Python does then; but the imported libraries are not torn down, which takes long."""
    try:
        _run()
        code: object = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    return code & 255


if __name__ == "__main__":
    sys.path.pop(0)
    _PROGRAMS = Path(sys.argv[1]).parent
    _serve(sys.argv[1])
    os._exit(_ended())
