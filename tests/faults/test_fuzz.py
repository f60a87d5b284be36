"""A round of bench/fuzz/fuzz.py: mutated bytes never give another error than ours."""

import importlib.util
import json
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def fuzzer(repository):
    spec = importlib.util.spec_from_file_location("fuzzer", repository / "bench/fuzz/fuzz.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzzer"] = module
    spec.loader.exec_module(module)
    return module


COUNTS = [("age", 400), ("manifest", 400), ("spec", 200), ("keras", 100), ("sidecar", 100)]


@pytest.mark.slow
@pytest.mark.parametrize(("target", "examples"), COUNTS)
def test_one_round_of(fuzzer, target, examples):
    """The same examples each time; the script itself goes on with others."""
    counts = fuzzer.fuzz(target, 0, examples)
    assert counts["inputs"] > 50
    assert counts["refused"]


@pytest.mark.slow
def test_one_round_of_onnx(repository):
    """Not in this process: the script forks, which TensorFlow's threads do not survive once they have started."""
    words = ["--only", "onnx", "--minutes", "0", "--examples", "100"]
    script = repository / "bench/fuzz/fuzz.py"
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["onnx"]
    assert counts["inputs"] > 50
    assert counts["refused"]
