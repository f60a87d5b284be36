"""Work on the bytes of strangers in a process with limits: it ends, whatever they do."""

import os
import signal
import subprocess
import sys
import time

import pytest
from secateur.errors import UntrustedModelError, VaultError
from secateur.runtime.child import ComputationError, Limits, computed

MODULE = """
import os, sys
def turned(content): print("said on the way"); return content[::-1]
def forever(content):
    open(content.decode(), "w").write(str(os.getpid()))
    while True: pass
def sleeping(content):
    import time
    time.sleep(600)
def large(content): return bytearray(4 << 30)
def fails(content): raise ValueError("first line\\nsecond")
def ours(content):
    from secateur.errors import VaultError
    raise VaultError("two\\nlines", "a hint")
def crashes(content): os.abort()
"""
QUICK = Limits(cpu_s=1)


@pytest.fixture(autouse=True)
def functions(tmp_path, monkeypatch):
    (tmp_path / "functions.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def test_the_result_and_nothing_else_comes_back():
    assert computed("functions:turned", b"\x00abc" * 100_000, "m") == b"cba\x00" * 100_000


@pytest.mark.parametrize(
    ("function", "said"),
    [("forever", "more than 1 s"), ("sleeping", "more than 1 s"), ("large", "of memory"), ("crashes", "crashes")],
)
def test_limits_are_told(tmp_path, function, said):
    with pytest.raises(UntrustedModelError, match=said) as error:
        computed(f"functions:{function}", str(tmp_path / "pid").encode(), "m.onnx", QUICK)
    assert error.value.message.startswith("m.onnx: ")
    assert error.value.exit_code == 5


def test_an_error_of_the_function_is_its_first_line():
    with pytest.raises(ComputationError, match=r"^first line$"):
        computed("functions:fails", b"", "m")


def test_an_error_of_ours_comes_back_whole():
    with pytest.raises(ComputationError) as error:
        computed("functions:ours", b"", "m")
    assert type(error.value.error) is VaultError
    assert (error.value.error.message, error.value.error.hint) == ("two\nlines", "a hint")


def test_larger_content_may_take_more():
    assert Limits().of(b"x" * (20 << 20)) == ((3 << 29) + (160 << 20), 61)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_whoever_waits_for_it_can_be_stopped_and_it_ends_too(tmp_path, number):
    argument = str(tmp_path / "pid").encode()
    code = f"from secateur.runtime.child import computed; computed('functions:forever', {argument}, 'm')"
    path = os.pathsep.join([str(tmp_path), *sys.path])
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path})
    _wait(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    child = int((tmp_path / "pid").read_text())
    process.send_signal(number)
    assert process.wait(30) == -number
    _wait(lambda: not os.path.exists(f"/proc/{child}") or "Z" in _state(child))


def _state(pid):
    with open(f"/proc/{pid}/stat") as stream:
        return stream.read().rpartition(")")[2].split()[0]


def _wait(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
