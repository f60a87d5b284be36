"""The README's picture of a terminal: real commands in a pseudo-terminal, drawn by rich, taken by headless Chromium.

    .venv/bin/python bench/terminal.py PROJECT     (a checkout in which `make demo` can run; results of it are removed)

Needs `script` (util-linux), chromium and chromedriver.
"""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.text import Text
from selenium import webdriver

PICTURE = Path(__file__).resolve().parent.parent / "docs/pictures/terminal.webp"
COLUMNS = 118
COMMANDS = ("snakemake --cores all --resources gpu=2", "secateur status")
# What a line showed before it was written over, and movements of the cursor.
OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)|\x1b\[[0-9;?]*[A-HJKlh]")
LEFT_OUT = re.compile(r"Using workflow specific|Complete log|Elapsed time")


def main(project: Path) -> None:
    """Run the commands, draw what they said."""
    for folder in ("results", "work", "logs"):
        shutil.rmtree(project / folder, ignore_errors=True)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for command in COMMANDS:
        console.print(f"[bold]$[/] {command}", highlight=False)
        console.print(Text.from_ansi(said(command, project)))
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "terminal.svg"
        page.write_text(console.export_svg(title="secateur"), encoding="utf-8")
        photographed(page)


def said(command: str, project: Path) -> str:
    """What a terminal shows of a command."""
    bins = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": bins, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    shell = ["script", "-qec", f"stty cols {COLUMNS}; {command}", "/dev/null"]
    done = subprocess.run(shell, cwd=project, env=environment, capture_output=True, check=True)
    text = done.stdout.decode("utf-8").replace("\r\n", "\n")
    lines = OVERWRITTEN.sub("", text).splitlines()
    return "\n".join(line for line in lines if not LEFT_OUT.search(line)).strip("\n") + "\n"


def photographed(page: Path) -> None:
    """As the browser draws it, with the machine's own fonts."""
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    driver.get(page.as_uri())
    _, _, width, height = (float(number) for number in re.findall(r"[\d.]+", _view_box(page)))
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    size = {"width": int(width), "height": int(height), "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    picture = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
    picture.save(PICTURE, quality=80)
    print(f"{PICTURE.name}  {picture.width} x {picture.height}")
    driver.quit()


def _view_box(page: Path) -> str:
    found = re.search(r'viewBox="([^"]*)"', page.read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
