"""The split step: folders of images in; manifest, class map and report out."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from secateur.artifacts import write_json
from secateur.data.classes import MIN_CLASSES, class_order, write_classmap
from secateur.data.manifest import Entry, Scan, scan, table_of
from secateur.errors import DataError, SpecError
from secateur.spec import DataSpec, Spec, SplitSpec
from secateur.tables import write_csv

Placed = list[tuple[Entry, str]]
# Where an image that stands in several folders is kept: never in training when it is measured on.
PRECEDENCE = ("test", "val", "train")
MAX_LISTED = 50
HASH_RANGE = float(2**64)


def split(spec: Spec, folder: Path | str) -> dict[str, Any]:
    """Write `manifest.csv`, `classmap.json` and `report.json` into `folder`.

    Returns:
        The report.

    Raises:
        SpecError: the spec names no images.
        DataError: folders or images that cannot be used; `unreadable.csv` then lists all of them.
    """
    scans = _scan_all(spec)
    _report_unreadable(scans, Path(folder), spec.data.on_corrupt)
    classes = _common_classes(scans)
    _check_classes(spec.data, scans, classes)
    if spec.data.source:
        placed, dropped = deal(scans["source"].entries, spec.data.split)
    else:
        placed, dropped = _without_leaks(scans)
    _require_every_split(placed, classes)
    table = table_of(placed)
    report = _report(scans, placed, dropped, classes)
    write_classmap(Path(folder) / "classmap.json", classes)
    write_json(Path(folder) / "report.json", report)
    write_csv(Path(folder) / "manifest.csv", table)
    return report


def image_roots(spec: Spec) -> dict[str, tuple[str, str]]:
    """{split or `source`: (folder, spec key)} as the spec has them.

    Raises:
        SpecError: neither `data.source` nor both of the training and validation folders are given.
    """
    data = spec.data
    if data.source:
        return {"source": (data.source, "data.source")}
    if not (data.train_dataset_path and data.val_dataset_path):
        missing = "train_dataset_path" if not data.train_dataset_path else "val_dataset_path"
        raise SpecError(f"data.{missing} is missing", f"give data.{missing}, or data.source to have images split")
    roots = {
        "train": (data.train_dataset_path, "data.train_dataset_path"),
        "val": (data.val_dataset_path, "data.val_dataset_path"),
    }
    if spec.evaluate.dataset_path:
        roots["test"] = (spec.evaluate.dataset_path, "evaluate.dataset_path")
    return roots


def _scan_all(spec: Spec) -> dict[str, Scan]:
    return {name: scan(folder, key) for name, (folder, key) in image_roots(spec).items()}


def _report_unreadable(scans: dict[str, Scan], folder: Path, policy: str) -> None:
    """List what cannot be read; refuse it unless the policy is `skip`."""
    # No output of the workflow, which removes the outputs of a step that fails.
    listing = folder / "unreadable.csv"
    bad = [item for result in scans.values() for item in result.unreadable]
    if not bad:
        listing.unlink(missing_ok=True)
        return
    write_csv(listing, pd.DataFrame([asdict(item) for item in bad]))
    if policy == "skip":
        return
    lines = [f"  {item.path}: {item.reason}" for item in bad[:MAX_LISTED]]
    more = [f"  and {len(bad) - MAX_LISTED} more"] if len(bad) > MAX_LISTED else []
    raise DataError(
        "\n".join([f"{len(bad)} image files cannot be read:", *lines, *more]),
        f"replace or remove them, or set data.on_corrupt: skip; the whole list is in {listing}",
    )


def _common_classes(scans: dict[str, Scan]) -> list[str]:
    """The classes in index order; train, val and test must have the same by name."""
    first_name, first = next(iter(scans.items()))
    for name, other in scans.items():
        if other.classes == first.classes:
            continue
        only_first, only_other = sorted(first.classes - other.classes), sorted(other.classes - first.classes)
        parts = [
            f"only in {label} ({root}): {', '.join(names)}"
            for label, root, names in ((first_name, first.root, only_first), (name, other.root, only_other))
            if names
        ]
        raise DataError("the class folders differ: " + "; ".join(parts), "give all splits the same class folders")
    return class_order(first.classes)


def _check_classes(data: DataSpec, scans: dict[str, Scan], classes: list[str]) -> None:
    root = next(iter(scans.values())).root
    if len(classes) < MIN_CLASSES:
        raise DataError(f"{root} has one class only ({classes[0]})", "a classifier needs two class folders or more")
    if data.num_classes and data.num_classes != len(classes):
        raise DataError(
            f"data.num_classes is {data.num_classes}, but {root} has {len(classes)} class folders",
            "remove data.num_classes or mend the folders",
        )
    for result in scans.values():
        empty = sorted(result.classes - {entry.class_name for entry in result.entries})
        if empty:
            raise DataError(
                f"no images in the class folders {', '.join(empty)} of {result.root}", "add images or remove the folder"
            )


def deal(entries: list[Entry], shares: SplitSpec) -> tuple[Placed, list[tuple[Entry, str]]]:
    """Deal images to train, val and test by their content.

    An image's place depends on its bytes and the seed alone, so that adding images moves none of the others
    and identical images cannot part. The shares hold for each class in expectation. A class that by chance
    has none in a split is given the image nearest to that split, so that every split has every class.

    Returns:
        (entry, split) pairs, and the duplicates that were left out with the path of the one that was kept.
    """
    kept, dropped = _without_duplicates(entries)
    place = {entry.sha256: _place(_position(entry.sha256, shares.seed), shares) for entry in kept}
    by_class = defaultdict(list)
    for entry in kept:
        by_class[entry.class_name].append(entry)
    for members in by_class.values():
        _fill_empty_splits(members, place, shares)
    return [(entry, place[entry.sha256]) for entry in kept], dropped


def _without_duplicates(entries: list[Entry]) -> tuple[list[Entry], list[tuple[Entry, str]]]:
    first: dict[str, Entry] = {}
    dropped = []
    for entry in sorted(entries, key=lambda item: item.path):
        if entry.sha256 in first:
            dropped.append((entry, first[entry.sha256].path))
        else:
            first[entry.sha256] = entry
    return list(first.values()), dropped


def _position(sha256: str, seed: int) -> float:
    """A uniform number in [0, 1) that content and seed fix."""
    digest = hashlib.sha256(f"{seed}:{sha256}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / HASH_RANGE


def _bounds(shares: SplitSpec) -> dict[str, tuple[float, float]]:
    """Each split's interval of positions; test first, so that changing val's share leaves test as it is."""
    bounds, start = {}, 0.0
    for name, share in (("test", shares.test), ("val", shares.val), ("train", shares.train)):
        if share:
            bounds[name] = (start, start + share)
            start += share
    return bounds


def _place(position: float, shares: SplitSpec) -> str:
    bounds = _bounds(shares)
    return next((name for name, (_, end) in bounds.items() if position < end), "train")


def _fill_empty_splits(members: list[Entry], place: dict[str, str], shares: SplitSpec) -> None:
    bounds = _bounds(shares)
    for name, (start, end) in bounds.items():
        counts = Counter(place[entry.sha256] for entry in members)
        movable = [entry for entry in members if counts[place[entry.sha256]] > 1]
        if counts[name] or not movable:
            continue
        middle = (start + end) / 2
        nearest = min(movable, key=lambda entry: abs(_position(entry.sha256, shares.seed) - middle))
        place[nearest.sha256] = name


def _without_leaks(scans: dict[str, Scan]) -> tuple[Placed, list[tuple[Entry, str]]]:
    """Folders that are split already: an image that stands in two splits is kept where it is measured on."""
    seen: dict[str, str] = {}
    placed: Placed = []
    dropped = []
    for name in PRECEDENCE:
        for entry in scans[name].entries if name in scans else []:
            if entry.sha256 in seen:
                dropped.append((entry, seen[entry.sha256]))
            else:
                seen[entry.sha256] = entry.path
                placed.append((entry, name))
    return placed, dropped


def _require_every_split(placed: Placed, classes: list[str]) -> None:
    present = {(name, entry.class_name) for entry, name in placed}
    for name in ("train", "val"):
        lacking = [label for label in classes if (name, label) not in present]
        if lacking:
            raise DataError(
                f"no images for {name} in the classes {', '.join(lacking)}", "each class needs 3 different images"
            )


def _report(
    scans: dict[str, Scan], placed: Placed, dropped: list[tuple[Entry, str]], classes: list[str]
) -> dict[str, Any]:
    counts = Counter((name, entry.class_name) for entry, name in placed)
    present = [name for name in ("train", "val", "test") if any(split == name for split, _ in counts)]
    class_of = {entry.path: entry.class_name for entry, _ in placed}
    return {
        "roots": {name: result.root for name, result in scans.items()},
        "classes": classes,
        "images": len(placed),
        "images_per_split": {name: sum(counts[name, label] for label in classes) for name in present},
        "images_per_class": {name: {label: counts[name, label] for label in classes} for name in present},
        "unreadable": [asdict(item) for result in scans.values() for item in result.unreadable],
        "several_frames": [entry.path for entry, _ in placed if entry.several_frames],
        "ignored_files": sum(result.ignored for result in scans.values()),
        "duplicates": [
            {"path": entry.path, "same_as": other, "same_class": class_of[other] == entry.class_name}
            for entry, other in dropped
        ],
    }
