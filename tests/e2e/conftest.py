"""Photographs, and a browser that notes every request."""

import shutil
from pathlib import Path

import pytest

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic", "--window-size=900,900",
)  # fmt: skip


@pytest.fixture(scope="module")
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
