"""Photographs, and a browser that notes every request."""

import shutil
from pathlib import Path

import pytest
from secateur.cli.main import main

from tests.shared import PASS_PHRASE, PHOTOGRAPHS, made_once

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic", "--window-size=900,900",
)  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def quick(short_timing):
    pass


@pytest.fixture(scope="session")
def photographs(clothing, tmp_path_factory):
    """`out`, the results of a training of all the photographs by `PHOTOGRAPHS`: to be copied."""

    def train(folder):
        spec = folder / "photographs.yaml"
        spec.write_text(PHOTOGRAPHS.format(images=clothing, results=folder / "out", key=PASS_PHRASE))
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            assert main(["train", "-e", str(spec)]) == 0

    return made_once(tmp_path_factory, "photographs", train)


@pytest.fixture(scope="session")
def few(clothing, tmp_path_factory):
    """Some of the photographs."""
    root = tmp_path_factory.mktemp("few")
    for split in ("train", "validation", "test"):
        for name in ("dress", "shoes", "hat"):
            files = sorted((clothing / split / name).iterdir())[: 40 if split == "train" else 8]
            (root / split / name).mkdir(parents=True)
            for file in files:
                shutil.copy(file, root / split / name)
    return root


@pytest.fixture
def browser():
    if not (CHROMIUM.exists() and DRIVER.exists()):
        pytest.skip("Chromium and its driver are not installed (Debian: chromium chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    driver.set_script_timeout(120)  # axe-core reads the whole page; machines can be slow
    yield driver
    driver.quit()
