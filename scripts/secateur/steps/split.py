"""The split step, with its status."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import IO, Any

from secateur.data.splitting import split
from secateur.run import Run
from secateur.steps.context import working
from secateur.steps.shared_split import shared_split
from secateur.storage.atomic import read_json

MAX_SAID = 10
SECONDS_BETWEEN_LINES = 30


def split_step(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Write `split/manifest.csv`, `classmap.json` and `report.json`.

    Returns:
        The report.

    Raises:
        SecateurError: with what is wrong and what to do.
    """
    with working(run, "split"):
        folder, cache = run.results / "split", run.work.parent / "cache"
        with shared_split(run.spec, folder, cache / "splits") as taken_from:
            if taken_from:
                print(f"split  the same images as {taken_from}", file=stream)
                return dict(read_json(folder / "report.json"))
            report = split(run.spec, folder, cache / "unpacked", _progress(stream))
    counts = "  ".join(f"{name} {count}" for name, count in report["images_per_split"].items())
    print(f"split  {len(report['classes'])} classes  {counts}", file=stream)
    _say(stream, report["unreadable"], lambda item: f"skipped {item['path']}: {item['reason']}")
    if report["several_frames"]:
        print(
            f"split  of {report['findings']['several frames']} files with several frames the first is used", file=stream
        )
    _say(stream, report["duplicates"], lambda item: f"left out {item['path']}: the same image as {item['same_as']}")
    for words in report["warnings"]:
        print(f"split  warning: {words}", file=stream)
    return report


def _say(stream: IO[str], items: list[dict[str, Any]], words: Callable[[dict[str, Any]], str]) -> None:
    for item in items[:MAX_SAID]:
        print(f"split  {words(item)}", file=stream)
    if len(items) > MAX_SAID:
        print("split  and more such: see report.json and findings.csv", file=stream)


def _progress(stream: IO[str]) -> Callable[[int, int], None]:
    """Says every half minute how far it is."""
    start = last = time.monotonic()

    def say(done: int, images: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = int((now - start) / done * (images - done))
            print(f"split  {done} of {images} images examined  ETA {timedelta(seconds=left)}", file=stream, flush=True)

    return say
