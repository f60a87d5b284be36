"""A minute of bench/fuzz/fuzz.py: mutated bytes never give another error than ours."""

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
@pytest.mark.parametrize("target", ["age", "manifest", "spec", "keras"])
def test_fifteen_seconds_of(fuzzer, target):
    counts = fuzzer.fuzz(target, 15)
    assert counts["inputs"] > 50
    assert counts["refused"]
