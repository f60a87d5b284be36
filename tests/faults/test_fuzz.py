"""A round of bench/fuzz/fuzz.py: mutated bytes never give another error than ours."""

import importlib.util
import sys

import pytest


@pytest.fixture(scope="module")
def fuzzer(repository):
    spec = importlib.util.spec_from_file_location("fuzzer", repository / "bench/fuzz/fuzz.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzzer"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(("target", "examples"), [("age", 400), ("manifest", 400), ("spec", 200), ("keras", 100)])
def test_one_round_of(fuzzer, target, examples):
    """The same examples each time; the script itself goes on with others."""
    counts = fuzzer.fuzz(target, 0, examples)
    assert counts["inputs"] > 50
    assert counts["refused"]
