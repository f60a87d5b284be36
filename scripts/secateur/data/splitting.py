"""Split images: read and check them, assign each to a split, and make the manifest, findings and report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from secateur.data.assignment import assign_splits, units_of
from secateur.data.classes import MIN_CLASSES, class_order
from secateur.data.examination import examine_all
from secateur.data.filesystem import parent
from secateur.data.layout import SPLITS
from secateur.data.left_out import COPIES, SEVERAL_CLASSES, UNREADABLE, LeftOut
from secateur.data.manifest import COLUMNS
from secateur.data.pixel_findings import pixel_findings, pixel_warnings, require_fitting_range
from secateur.data.preflight import (
    all_left_out,
    duplicate_findings,
    file_findings,
    placed_findings,
    statistics,
    suspicious_classes,
    warnings,
)
from secateur.data.similar import similar_pairs
from secateur.data.sources import Listing, listed
from secateur.errors import DataError, SpecError
from secateur.spec import DataSpec, Spec

# Order in which copies of an image are kept: an image of test or val is never kept in train.
PRECEDENCE = {"test": 0, "val": 1, "train": 2, "": 2}
# Maximal number of entries in a list of report.json; findings.csv has all.
MAX_REPORTED = 1000
NO_PAIRS = np.empty((0, 2), np.int64)


@dataclass(frozen=True)
class Examined:
    """The images of a spec after examination, before they are split.

    Attributes:
        listings: the images of each root.
        classes: names in index order.
        table: one row per image.
        findings: what is odd about them; the first table lists the files that cannot be read.
    """

    listings: dict[str, Listing]
    classes: list[str]
    table: pd.DataFrame
    findings: list[pd.DataFrame]

    @property
    def unreadable(self) -> pd.DataFrame:
        """The files that cannot be read, with path and reason."""
        return self.findings[0][["path", "detail"]].rename(columns={"detail": "reason"})


@dataclass(frozen=True)
class Split:
    """The images of a spec after they are split.

    Attributes:
        manifest: one row per image, with the columns of a manifest.
        classes: names in index order.
        findings: what is odd about the images.
        report: counts and the most important findings, as plain data.
    """

    manifest: pd.DataFrame
    classes: list[str]
    findings: pd.DataFrame
    report: dict[str, Any]


def examine_images(
    spec: Spec, unpack_to: Path | str, progress: Callable[[int, int], None], threads: int | None = None
) -> Examined:
    """Read every image that a spec names.

    Args:
        spec: names the images.
        unpack_to: folder for the content of archives.
        progress: receives the number of examined images and of all images from time to time.
        threads: that read and decode; None: one for each processor.

    Raises:
        SpecError: the spec names no images.
        DataError: a folder cannot be used, or the splits have different classes.
    """
    listings = _listings(spec, unpack_to)
    classes = _common_classes(listings)
    _check_number_of_classes(spec.data, listings, classes)
    table = _joined(listings, spec.data.group)
    paths = table["path"].tolist()
    table = table.join(examine_all(paths, spec.data, lambda done: progress(done, len(table)), threads))
    found = [*file_findings(table, listings), *pixel_findings(table, spec.data)]
    return Examined(listings, classes, table, found)


def divided(examined: Examined, data_spec: DataSpec) -> Split:
    """Leave out unreadable files and copies, and assign every image to a split.

    Raises:
        DataError: a class has no images, or none in a split; or the values of deep images do not fit their range.
    """
    listings, classes, table = examined.listings, examined.classes, examined.table
    unreadable = table[table["unreadable"].ne("")]
    table = table[table["unreadable"].eq("")]
    require_fitting_range(table, data_spec)
    refuse_empty_classes(listings, table, unreadable)
    dropped = table.duplicated("sha256").to_numpy()
    findings = [*examined.findings, *duplicate_findings(table, dropped)]
    copies = table[dropped]
    table = table[~dropped].sort_values("path", ignore_index=True)
    pairs = similar_pairs(table["looks"].to_numpy())
    table["split"] = _placed(table, pairs, data_spec)
    _require_every_split(table, classes, copies)
    found = pd.concat([*findings, *placed_findings(table, pairs)], ignore_index=True)
    report = _report(listings, table, found, classes)
    warnings = pixel_warnings(report["findings"], data_spec).values()
    report["warnings"] += [f"{words}; see split/report.html" for words in warnings]
    return Split(table[COLUMNS], classes, found, report)


def image_roots(spec: Spec) -> dict[str, tuple[str, str]]:
    """{split or `source`: (folder, spec key)} as the spec names them.

    Raises:
        SpecError: the spec names neither `data.source` nor both the training and the validation folder.
    """
    data = spec.data
    if data.source:
        return {"source": (data.source, "data.source")}
    if not (data.train_dataset_path and data.val_dataset_path):
        missing = "train_dataset_path" if not data.train_dataset_path else "val_dataset_path"
        raise SpecError(
            f"data.{missing} is missing", f"give data.{missing}, or give data.source and secateur splits the images"
        )
    roots = {
        "train": (data.train_dataset_path, "data.train_dataset_path"),
        "val": (data.val_dataset_path, "data.val_dataset_path"),
    }
    if spec.evaluate.dataset_path:
        roots["test"] = (spec.evaluate.dataset_path, "evaluate.dataset_path")
    return roots


def _listings(spec: Spec, unpack_to: Path | str) -> dict[str, Listing]:
    """The images of each root, by split; under `source` if they are not split or if a table splits them."""
    found: dict[str, Listing] = {}
    for name, (root, key) in image_roots(spec).items():
        data = spec.data
        # The folders of TAO's keys are one split each.
        layout = data.layout if name == "source" or data.layout == "classes" else "auto"
        parts = listed(root, key, data.multi_label, unpack_to, data.table_paths, layout, data.follow_links)
        if name == "source":
            return parts
        if list(parts) != ["source"] or parts["source"].table["split"].ne("").any():
            raise DataError(f"{key}: {root} is already split into train, val and test", "give it as data.source")
        found[name] = parts["source"]
    return found


def _joined(listings: dict[str, Listing], group: str) -> pd.DataFrame:
    """All images. Those of test and val come first, so that they are kept if train has copies of them."""
    tables = []
    for name, listing in listings.items():
        table = listing.table
        if name in SPLITS:
            table["split"] = name
        if group == "folder":
            table["group"] = table["group"].where(table["group"].ne(""), _folder_below_class(listing))
        tables.append(table)
    joined = pd.concat(tables, ignore_index=True)
    order = np.lexsort((np.argsort(np.argsort(joined["path"])), joined["split"].map(PRECEDENCE)))
    return joined.iloc[order].reset_index(drop=True)


def _folder_below_class(listing: Listing) -> list[str]:
    if not listing.class_folders:
        raise DataError(
            f"data.group: folder works with class folders only, and {listing.root} has none",
            "give a table a column `group`",
        )
    depth = listing.root.rstrip("/").count("/") + 2
    return [parent(path) if path.count("/") > depth else "" for path in listing.table["path"]]


def _common_classes(listings: dict[str, Listing]) -> list[str]:
    """The classes in index order. Train, val and test must have the same names."""
    first_name, first = next(iter(listings.items()))
    for name, other in listings.items():
        if other.classes == first.classes:
            continue
        only_first, only_other = sorted(first.classes - other.classes), sorted(other.classes - first.classes)
        parts = [
            f"only in {label} ({root}): {', '.join(names)}"
            for label, root, names in ((first_name, first.root, only_first), (name, other.root, only_other))
            if names
        ]
        odd = suspicious_classes(sorted(first.classes | other.classes))
        raise DataError(
            "the class folders differ: " + "; ".join(parts) + "".join(f"; {words}" for words in odd),
            "give all splits the same class folders",
        )
    return class_order(first.classes)


def _check_number_of_classes(data_spec: DataSpec, listings: dict[str, Listing], classes: list[str]) -> None:
    listing = next(iter(listings.values()))
    root = listing.root
    if len(classes) < MIN_CLASSES:
        below = f"; if the classes are folders of {classes[0]}, name that folder" if listing.class_folders else ""
        raise DataError(f"{root} has only one class ({classes[0]})", f"a classifier needs at least two classes{below}")
    if data_spec.num_classes and data_spec.num_classes != len(classes):
        raise DataError(
            f"data.num_classes is {data_spec.num_classes}, but {root} has {len(classes)} class folders",
            "remove data.num_classes or correct the folders",
        )


def refuse_empty_classes(
    listings: dict[str, Listing], table: pd.DataFrame, unreadable: pd.DataFrame | None = None
) -> None:
    """Raise DataError for a class without images, with what its folder has instead.

    Args:
        listings: the images of each root.
        table: the images.
        unreadable: files that have the suffix of an image and cannot be read.
    """
    for name, listing in listings.items():
        rows, bad = (
            rows[rows["split"].eq(name)] if name in SPLITS else rows
            for rows in (table, table[:0] if unreadable is None else unreadable)
        )
        empty = sorted(listing.classes - set(rows["class"].unique()))
        if empty:
            what = "in the class folders" if listing.class_folders else "of the classes"
            lost = _lost(listing, empty, bad.loc[bad["class"].isin(empty), "path"].tolist())
            raise DataError(
                f"no images {what} {', '.join(empty)} of {listing.root}{lost}",
                "add images or remove the folder" if listing.class_folders else "add images or remove the class",
            )


def _lost(listing: Listing, classes: list[str], unreadable: list[str]) -> str:
    """What is in the folders of these classes instead of images."""
    lost = LeftOut()
    lost.count(UNREADABLE, unreadable)
    for name in classes:
        lost.merge(listing.lost.get(name, LeftOut()))
    return f"; left out there: {lost.in_words()}" if lost.total else ""


def _placed(table: pd.DataFrame, pairs: np.ndarray[Any, Any], data_spec: DataSpec) -> pd.Series:
    """The split of each image: as the data defines it; assigned here if it defines none, or none for validation."""
    given = table["split"]
    among = SPLITS if given.eq("").all() else ("train", "val")
    if given.eq("val").any():
        return given
    open_ = given.isin(["", "train"]).to_numpy()
    rows = table[open_].reset_index(drop=True)
    together = NO_PAIRS
    if data_spec.group == "similar":
        inside = np.cumsum(open_) - 1
        together = inside[pairs[open_[pairs].all(1)]]
    given.loc[open_] = assign_splits(rows, units_of(rows["group"], together), data_spec.split, among)
    return given


def _require_every_split(table: pd.DataFrame, classes: list[str], copies: pd.DataFrame) -> None:
    """Raise DataError for a class that train or val lacks; images that are copies of others do not count."""
    for name in ("train", "val"):
        present = set(table.loc[table["split"].eq(name), "class"].unique())
        lacking = [label for label in classes if label not in present]
        if lacking:
            count = int(copies["class"].isin(lacking).sum())
            copied = f"; {count:,} of their images are copies of other images, which count once" if count else ""
            raise DataError(
                f"{name} has no images of the classes {', '.join(lacking)}{copied}",
                "each class needs at least 3 different images or groups of images",
            )


def _report(
    listings: dict[str, Listing], table: pd.DataFrame, findings: pd.DataFrame, classes: list[str]
) -> dict[str, Any]:
    counts = table.groupby(["split", "class"]).size()
    present = [name for name in SPLITS if name in counts.index.get_level_values(0)]
    per_class = {name: {label: int(counts.get((name, label), 0)) for label in classes} for name in present}
    copies = findings[findings["kind"].isin(["duplicate", "label conflict"])].head(MAX_REPORTED)
    unreadable = findings[findings["kind"].eq("unreadable")].head(MAX_REPORTED)
    numbers = {str(kind): int(count) for kind, count in findings["kind"].value_counts().items()}
    lost = all_left_out(listings).total
    report: dict[str, Any] = {
        "roots": {name: listing.root for name, listing in listings.items()},
        "classes": classes,
        "images": len(table),
        "images_per_split": {name: sum(per_class[name].values()) for name in present},
        "images_per_class": per_class,
        "images_are": statistics(table),
        "findings": {**numbers, **({"left out": lost} if lost else {})},
        "unreadable": [{"path": row.path, "reason": row.detail} for row in unreadable.itertuples()],
        "several_frames": findings.loc[findings["kind"].eq("several frames"), "path"].head(MAX_REPORTED).tolist(),
        "notes": [words for listing in listings.values() for words in listing.notes],
        "left_out": _all_left_out(listings, findings).as_json(),
        "duplicates": [
            {"path": row.path, "same_as": row.other, "same_class": row.kind == "duplicate"}
            for row in copies.itertuples()
        ],
    }
    report["warnings"] = [*all_left_out(listings).warnings(), *warnings(report)]
    return report


def _all_left_out(listings: dict[str, Listing], findings: pd.DataFrame) -> LeftOut:
    """All files that are in no split: together with the images they are all files that were found."""
    left_out = all_left_out(listings)
    left_out.count(UNREADABLE, findings.loc[findings["kind"].eq("unreadable"), "path"])
    left_out.count(COPIES, findings.loc[findings["kind"].isin(["duplicate", "label conflict"]), "path"])
    dropped = findings["kind"].eq("several classes") & findings["detail"].str.endswith(": left out")
    left_out.count(SEVERAL_CLASSES, findings.loc[dropped, "path"])
    return left_out
