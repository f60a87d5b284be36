"""The pictures of the README, taken of real pages in headless Chromium.

    .venv/bin/python bench/pictures.py RESULTS     (a results folder with the experiments `clothing` and `quickstart`)

RESULTS must hold `index.html` and `clothing/report.html`. Needs chromium and chromedriver (Debian: chromium,
chromium-driver).
"""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

from PIL import Image
from selenium import webdriver

DOCS = Path(__file__).resolve().parent.parent / "docs/pictures"
WIDTH = 1080
# File -> page, selector of its first and of its last element, colour scheme.
PICTURES = {
    "report-verdict": ("clothing/report.html", "header", "#data .samples", "light"),
    "report-training": ("clothing/report.html", "#training", "#training", "dark"),
    "report-classes": ("clothing/report.html", "#matrix", "#confidence .figures", "light"),
    "report-mistakes": ("clothing/report.html", "#mistakes h2", ".gallery figure:nth-child(8)", "light"),
    "index": ("index.html", "h1", "#front", "light"),
}
BOX = """
const boxes = [arguments[0], arguments[1]].map(selector => document.querySelector(selector).getBoundingClientRect());
return [boxes[0].top + scrollY, Math.max(boxes[0].bottom, boxes[1].bottom) + scrollY];
"""


def main(results: Path) -> None:
    """Take all pictures."""
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    size = {"width": WIDTH, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for name, (page, first, last, scheme) in PICTURES.items():
        features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
        driver.get((results / page).resolve().as_uri())
        top, bottom = driver.execute_script(BOX, first, last)
        clip = {"x": 0, "y": top - 12, "width": WIDTH, "height": bottom - top + 24, "scale": 1}
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        picture = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
        picture.save(DOCS / f"{name}.webp", quality=80)
        print(f"{name}.webp  {picture.width} x {picture.height}")
    driver.quit()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
