"""Find what is odd about a set of images before anything is trained, write it to a table and print it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secateur.data.layout import SPLIT_WORDS, SPLITS
from secateur.data.left_out import LeftOut
from secateur.data.sources import Listing

FINDINGS = ["kind", "path", "other", "detail"]
# Ratio between the images of two classes above which networks tend to neglect the rare class.
IMBALANCE = 10


def finding(kind: str, paths: Any, other: Any = "", detail: Any = "") -> pd.DataFrame:
    """Rows of findings.csv: `kind`, `path`, a related file `other`, and `detail`."""
    paths = list(paths)
    return pd.DataFrame({"kind": kind, "path": paths, "other": other, "detail": detail}, columns=FINDINGS, dtype=str)


def file_findings(table: pd.DataFrame, listings: dict[str, Listing]) -> list[pd.DataFrame]:
    """Findings about files that cannot be read, have several frames or show several classes.

    Args:
        table: all images: `path`, and the columns of `Examined`.
        listings: the images that the spec names.
    """
    bad = table[table["unreadable"].ne("")]
    frames = table.loc[table["several_frames"], "path"]
    several = [item for listing in listings.values() for item in listing.several_classes]
    lost = all_left_out(listings).as_json()
    return [
        finding("unreadable", bad["path"], detail=bad["unreadable"].tolist()),
        finding("several frames", frames, detail="the first is used"),
        finding(
            "several classes",
            [path for path, _, _ in several],
            detail=[
                f"{', '.join(names)}: {f'counts as {chosen}' if chosen else 'left out'}" for _, names, chosen in several
            ],
        ),
        finding(
            "left out",
            [found["example"] for found in lost.values()],
            detail=[f"{found['files']:,} {reason}" for reason, found in lost.items()],
        ),
    ]


def all_left_out(listings: Mapping[str, Listing]) -> LeftOut:
    """What the search for images left out, in all places."""
    found = LeftOut()
    for listing in listings.values():
        found.merge(listing.left_out)
    return found


def duplicate_findings(table: pd.DataFrame, dropped: NDArray[np.bool_]) -> list[pd.DataFrame]:
    """Findings about images that are left out because the same bytes are kept elsewhere, in the same or another class.

    Args:
        table: readable images; of equal ones, the kept one comes first: `path`, `class`, `sha256`.
        dropped: whether each is left out.
    """
    copies, kept = table[dropped], table[~dropped].set_index("sha256")
    first = kept.loc[copies["sha256"]]
    other, label = first["path"].to_numpy(), first["class"].to_numpy()
    conflict = copies["class"].to_numpy() != label
    detail = [
        f"class {mine}; the kept image has class {theirs}" for mine, theirs in zip(copies["class"], label, strict=True)
    ]
    return [
        finding("duplicate", copies["path"][~conflict], other[~conflict], "left out"),
        finding("label conflict", copies["path"][conflict], other[conflict], np.array(detail, object)[conflict]),
    ]


def placed_findings(table: pd.DataFrame, pairs: NDArray[np.int64]) -> list[pd.DataFrame]:
    """Findings about images that look alike, in one or several splits and classes, and about groups in several splits.

    Args:
        table: images that are kept: `path`, `class`, `split`, `group`.
        pairs: int64 [pairs, 2], positions of images that look alike.
    """
    paths, splits, labels = (table[name].to_numpy() for name in ("path", "split", "class"))
    one, two = pairs[:, 0], pairs[:, 1]
    leak = splits[one] != splits[two]
    odd = ~leak & (labels[one] != labels[two])
    plain = ~leak & ~odd
    detail = np.array(
        [f"{_both(splits[i], splits[j])}, class {_both(labels[i], labels[j])}" for i, j in pairs.tolist()],
        object,
    )
    grouped = table[table["group"].ne("")]
    torn = grouped[grouped.groupby("group")["split"].transform("nunique") > 1]
    return [
        finding("looks alike", paths[one[plain]], paths[two[plain]], detail[plain]),
        finding("looks alike in two classes", paths[one[odd]], paths[two[odd]], detail[odd]),
        finding("looks alike in two splits", paths[one[leak]], paths[two[leak]], detail[leak]),
        finding("group in two splits", torn["path"], torn["group"].tolist(), torn["split"].tolist()),
    ]


def _both(one: str, two: str) -> str:
    return one if one == two else f"{one} and {two}"


def suspicious_classes(classes: list[str]) -> list[str]:
    """Warnings about class names: two differ only in case, spaces or punctuation, or one is the name of a split."""
    alike = defaultdict(list)
    for name in classes:
        alike[re.sub(r"[\W_]+", "", name.casefold()) or name].append(name)
    said = [
        f"the classes {' and '.join(map(repr, names))} differ only in case or punctuation"
        for names in alike.values()
        if len(names) > 1
    ]
    words = {*SPLITS, *SPLIT_WORDS}
    return said + [f"the class '{name}' has the name of a split" for name in classes if name.casefold() in words]


def statistics(table: pd.DataFrame) -> dict[str, Any]:
    """The sizes, modes and balance of the kept images, as plain data.

    Args:
        table: `class`, `split`, `width`, `height`, `mode`, `depth`, `bytes`.
    """
    counts = table.loc[table["split"].eq("train"), "class"].value_counts()
    return {
        "width": _spread(table["width"]),
        "height": _spread(table["height"]),
        "bytes": _spread(table["bytes"]),
        "modes": {str(name): int(count) for name, count in table["mode"].value_counts().items()},
        "depths": {str(name): int(count) for name, count in table["depth"].value_counts().items()},
        "imbalance": {
            "largest": [str(counts.index[0]), int(counts.iloc[0])],
            "smallest": [str(counts.index[-1]), int(counts.iloc[-1])],
            "ratio": float(counts.iloc[0] / counts.iloc[-1]),
        },
    }


def _spread(values: pd.Series) -> dict[str, int]:
    return {"least": int(values.min()), "median": int(values.median()), "most": int(values.max())}


def warnings(report: dict[str, Any]) -> list[str]:
    """The warnings that a user should read before training, one sentence each, from the report of split."""
    found, balance = report["findings"], report["images_are"]["imbalance"]
    said = suspicious_classes(report["classes"])
    said += [
        f"the class '{name}' has a semicolon: the bundle will have no labels for DeepStream"
        for name in report["classes"]
        if ";" in name
    ]
    if balance["ratio"] >= IMBALANCE:
        (most, many), (least, few) = balance["largest"], balance["smallest"]
        said.append(
            f"{many} training images of '{most}' and {few} of '{least}': consider data.sampling: balanced or "
            "train.class_weights: balanced"
        )
    if count := found.get("label conflict"):
        said.append(f"images that are in two classes, and were left out of the second one: {count}; see findings.csv")
    if count := found.get("looks alike in two splits"):
        said.append(
            f"pairs of images that look alike but are in two splits, so that the evaluation is too good: {count}; "
            "data.group: similar keeps them in one split"
        )
    if count := found.get("looks alike in two classes"):
        said.append(
            f"pairs of images that look alike but are in two classes; one may be wrong: {count}; see split/report.html"
        )
    if found.get("group in two splits"):
        said.append("the table puts images of one group into two splits: see findings.csv")
    return said
