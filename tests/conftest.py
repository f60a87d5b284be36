"""What many tests share: real images, a small spec, a seeded Keras."""

from __future__ import annotations

import gc
import importlib.util
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image
from secateur.runtime.onednn import use_onednn

from tests.long import LONG
from tests.programs import TIMING_S
from tests.shared import SMALL, made_once

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
use_onednn(os.environ)
REPOSITORY = Path(__file__).parent.parent
# The same examples in every run, so that a change is judged by what it changed; others: --hypothesis-profile=default.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")
# `nohup` and a shell's `&` let programs ignore these, and all that they start: no test could send them.
for name in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(name) is signal.SIG_IGN:
        signal.signal(name, signal.default_int_handler if name == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(scope="module", autouse=True)
def forget_models() -> Iterator[None]:
    """Keras and TensorFlow keep what they traced: without this a process grows to ten gigabytes."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
    gc.collect()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def clothing() -> Path:
    """The clothing images, or a skip where they are not at hand."""
    folder = REPOSITORY.resolve().parent / "shared" / "data" / "clothing"
    if not folder.is_dir():
        pytest.skip(f"no clothing images at {folder}")
    return folder


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The stand-ins for TensorRT and CUDA (`stand_ins`), or a skip where the real ones are: they need a GPU."""
    if importlib.util.find_spec("tensorrt") is not None:
        pytest.skip("TensorRT is installed here")
    monkeypatch.syspath_prepend(REPOSITORY / "tests/stand_ins")
    yield importlib.import_module("tensorrt")
    for name in [name for name in sys.modules if name.split(".")[0] in ("tensorrt", "cuda")]:
        del sys.modules[name]


@pytest.fixture
def class_folders(tmp_path: Path) -> Path:
    """Two classes of 12 noisy JPEG images each: `dark` and `light`."""
    return write_class_folders(tmp_path / "images")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `images`, `one.yaml`, which is `SMALL`, and what `secateur train` made of it: to be copied."""

    def train(folder: Path) -> None:
        from secateur.cli.main import main

        write_class_folders(folder / "images")
        (folder / "one.yaml").write_text(SMALL)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            assert main(["train", "-e", "one.yaml"]) == 0

    return made_once(tmp_path_factory, "trained", train)


@pytest.fixture(scope="session")
def short_timing() -> Iterator[None]:
    """Latencies are measured with fewer calls: their figures are not what a test is about."""
    from secateur.export import timing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "SECONDS_A_NETWORK", TIMING_S)
        yield


def write_class_folders(root: Path) -> Path:
    """Write them; the same images each time."""
    rng = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        for number in range(12):
            write_jpeg(root / name / f"{number:02d}.jpg", rng.normal(level, 25, (24, 30, 3)))
    return root


@contextmanager
def small_files(size_bytes: int) -> Iterator[None]:
    """Files can grow to `size_bytes`, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write_jpeg(path: Path, pixels: np.ndarray) -> None:
    """Write pixel values, clipped to 0..255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that of several processes none has them left when the others are done."""

    def place(item: pytest.Item) -> int:
        return next((rank for rank, part in enumerate(("e2e", "zoo", "workflow")) if f"/{part}/" in str(item.path)), 3)

    items.sort(key=place)
    for item in items:
        if LONG.search(item.nodeid):
            item.add_marker(pytest.mark.slow)
