"""The split step: it splits the images and writes the manifest, the class map, the findings and the report."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import pandas as pd

from secateur.data.classes import write_classmap
from secateur.data.image_opening import NO_HEIF, TOO_LARGE
from secateur.data.left_out import LeftOut, accounted
from secateur.data.splitting import divided, examine_images
from secateur.errors import DataError
from secateur.report.split_page import page
from secateur.run import Run
from secateur.runtime.terminal import one_line
from secateur.spec import Spec
from secateur.spec.effects import places_that_affect
from secateur.steps.context import step_context
from secateur.steps.run_files import read_run_json
from secateur.steps.run_manifest import MANIFEST_SHA256, PLACES
from secateur.steps.shared_split import UNREADABLE, shared_split
from secateur.storage.atomic import sha256_of, write_json, write_text
from secateur.storage.csv import write_csv

# Part of a reason why an image cannot be read -> what cures it.
CURES = {TOO_LARGE: "raise data.max_pixels,", NO_HEIF: "install pillow-heif,"}
MAX_SAID = 10
MAX_LISTED = 50
SECONDS_BETWEEN_LINES = 30


def split_step(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Write `split/manifest.csv`, `classmap.json` and `report.json`.

    Returns:
        The report.

    Raises:
        SecateurError: the images cannot be used, or a file cannot be written.
    """
    with step_context(run, "split"):
        folder = run.folder("split")
        with shared_split(run.spec, folder, run.work.parent, stream) as taken_from:
            if taken_from:
                print(f"split  the same images as {taken_from}", file=stream)
                return read_run_json(run, "split", "report")
            unpacked = run.work.parent / "cache" / "unpacked"
            report = split(run.spec, folder, unpacked, _progress(stream), run.threads)
    for words in report["notes"]:
        print(f"split  {one_line(words)}", file=stream)
    left_out = LeftOut.from_json(report["left_out"])
    print(f"split  {accounted(report['images'], left_out, 'images used')}", file=stream)
    counts = "  ".join(f"{name} {count}" for name, count in report["images_per_split"].items())
    print(f"split  {len(report['classes'])} classes  {counts}", file=stream)
    _say(stream, report["unreadable"], lambda item: f"skipped {item['path']}: {item['reason']}")
    if report["several_frames"]:
        print(
            f"split  files with several frames, whose first frame is used: {report['findings']['several frames']}",
            file=stream,
        )
    _say(stream, report["duplicates"], lambda item: f"left out {item['path']}: the same image as {item['same_as']}")
    for words in report["warnings"]:
        print(f"split  warning: {one_line(words)}", file=stream)
    return report


def split(
    spec: Spec,
    folder: Path | str,
    unpack_to: Path | str = "work/cache/unpacked",
    progress: Callable[[int, int], None] = lambda done, images: None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Write `manifest.csv`, `classmap.json`, `findings.csv`, `report.json` and `report.html` into `folder`.

    Args:
        spec: names the images.
        folder: of the files.
        unpack_to: folder for the content of archives.
        progress: receives the number of examined images and of all images from time to time.
        threads: that read and decode; None: one for each processor.

    Returns:
        The report.

    Raises:
        SpecError: the spec names no images.
        DataError: folders or images cannot be used; `unreadable.csv` then lists all unreadable files.
    """
    folder = Path(folder)
    examined = examine_images(spec, unpack_to, progress, threads)
    _refuse_unreadable(examined.unreadable, folder, spec.data.on_corrupt)
    result = divided(examined, spec.data)
    write_csv(folder / "findings.csv", result.findings)
    write_text(folder / "report.html", page(result.report, result.findings, spec.data))
    write_classmap(folder / "classmap.json", result.classes)
    # The places of the images, since the same images can be at another place later.
    places = {key: named[0] for key, named in places_that_affect(spec, ["split"]).items()}
    write_csv(folder / "manifest.csv", result.manifest)
    report = {**result.report, PLACES: places, MANIFEST_SHA256: sha256_of(folder / "manifest.csv")}
    write_json(folder / "report.json", report)
    return report


def _refuse_unreadable(bad: pd.DataFrame, folder: Path, policy: str) -> None:
    """Write the list of unreadable files. Raise DataError unless `data.on_corrupt` is `skip`."""
    listing = folder / UNREADABLE
    if bad.empty:
        listing.unlink(missing_ok=True)
        return
    write_csv(listing, bad)
    if policy == "skip":
        return
    lines = [f"  {one_line(f'{path}: {reason}')}" for path, reason in bad.head(MAX_LISTED).itertuples(index=False)]
    more = [f"  and {len(bad) - MAX_LISTED} more"] if len(bad) > MAX_LISTED else []
    count = "1 image file" if len(bad) == 1 else f"{len(bad):,} image files"
    advice = [words for reason, words in CURES.items() if bad["reason"].str.contains(reason, regex=False).any()]
    raise DataError(
        "\n".join([f"{count} cannot be read:", *lines, *more]),
        " ".join([*advice, f"replace or remove them, or set data.on_corrupt: skip; the whole list is in {listing}"]),
    )


def _say(stream: IO[str], items: list[dict[str, Any]], words: Callable[[dict[str, Any]], str]) -> None:
    for item in items[:MAX_SAID]:
        print(f"split  {one_line(words(item))}", file=stream)
    if len(items) > MAX_SAID:
        print("split  more in report.json and findings.csv", file=stream)


def _progress(stream: IO[str]) -> Callable[[int, int], None]:
    """Prints its progress every half minute."""
    start = last = time.monotonic()

    def say(done: int, images: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = int((now - start) / done * (images - done))
            print(f"split  {done} of {images} images examined  ETA {timedelta(seconds=left)}", file=stream, flush=True)

    return say
