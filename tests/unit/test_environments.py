"""One source of versions: pyproject.toml, the locks made from it, and what is made from the locks."""

import importlib.util
import re
import shlex
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version


@pytest.fixture(scope="module")
def generate(repository):
    spec = importlib.util.spec_from_file_location("generate", repository / "envs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_a_lock_has_what_the_project_asks_for(generate, project, repository, kind):
    pins = generate.pins(repository / f"envs/{kind}.lock")
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras[kind], *extras["dev"], *extras["dvc"], *extras["jax"]]
    for requirement in map(Requirement, asked):
        version = Version(pins[requirement.name.lower()])
        assert version in requirement.specifier, f"{requirement}: {version} is locked; run `make locks`"


def test_the_locks_agree(generate, repository):
    cpu, gpu = (generate.pins(repository / f"envs/{kind}.lock") for kind in ("cpu", "gpu"))
    common = cpu.keys() & gpu.keys()
    assert {name: cpu[name] for name in common} == {name: gpu[name] for name in common}
    assert cpu.keys() - gpu.keys() == {"onnxruntime"}


def test_everything_on_a_gpu_is_for_one_cuda(generate, repository):
    """Wheels of CUDA 12 and 13 write the same cuDNN files over each other."""
    nvidia = [name for name in generate.pins(repository / "envs/gpu.lock") if "nvidia" in name or "cuda" in name]
    assert len(nvidia) > 10
    assert not [name for name in nvidia if "13" in name]


def test_the_conda_environments_have_the_pins_of_the_locks(generate, repository):
    for name, lock in generate.WRITTEN.items():
        written = (repository / "envs" / name).read_text()
        assert written == generate.environment(repository / "envs" / lock), "run `make environments`"


def test_the_image_is_built_by_what_the_tests_are_built_by(repository):
    """Of the Dockerfile's steps `make .venv/stamp` is what every test environment comes from; files must be there."""
    lines = (repository / "Dockerfile").read_text().splitlines()
    steps = [line for line in lines if line and not line.startswith("#")]
    ran = [step.removeprefix("RUN ") for step in steps if step.startswith("RUN ")]
    assert ran[0].startswith("apt-get update && apt-get install")
    assert ran[1:] == ["make .venv/stamp PYTHON=python3 LOCK=${LOCK}"]
    ignored = (repository / ".dockerignore").read_text().splitlines()
    for step in steps:
        if step.startswith("COPY "):
            for source in shlex.split(step)[1:-1]:
                assert (repository / source).exists()
                assert f"!{source}" in ignored
    python = re.search(r"FROM python:(\d+\.\d+)", "\n".join(steps)).group(1)
    assert python == "3.11"
