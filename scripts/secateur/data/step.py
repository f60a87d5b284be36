"""The split step, with its status."""

from __future__ import annotations

from typing import IO, Any

from secateur.data.split import split
from secateur.run import Run
from secateur.working import working


def split_step(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Write `split/manifest.csv`, `classmap.json` and `report.json`.

    Returns:
        The report.

    Raises:
        SecateurError: with what is wrong and what to do.
    """
    with working(run, "split"):
        report = split(run.spec, run.results / "split")
    counts = "  ".join(f"{name} {count}" for name, count in report["images_per_split"].items())
    print(f"split  {len(report['classes'])} classes  {counts}", file=stream)
    for item in report["unreadable"]:
        print(f"split  skipped {item['path']}: {item['reason']}", file=stream)
    if report["several_frames"]:
        print(f"split  of {len(report['several_frames'])} files with several frames the first is used", file=stream)
    for item in report["duplicates"]:
        print(f"split  left out {item['path']}: the same image as {item['same_as']}", file=stream)
    return report
