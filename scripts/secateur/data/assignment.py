"""Assign images to train, val and test by their content. New images do not move the old ones to another split.

See docs/decisions/who-goes-where.md.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from secateur.spec import SplitSpec

HASH_RANGE = float(2**64)


def assign_splits(
    table: pd.DataFrame, units: NDArray[np.int64], shares: SplitSpec, among: tuple[str, ...]
) -> NDArray[np.str_]:
    """The split of each image.

    The split of an image depends only on the seed and on its bytes or the name of its group, so that new images do not
    move the old ones. The shares hold for each class in expectation. If a class has no image in a split by chance, the
    unit nearest to that split moves there, so that every split has every class.

    Args:
        table: `class`, `sha256` and `group` of different images, sorted by path.
        units: as `units_of` returns them.
        shares: the shares of the splits, and the seed.
        among: the splits that images are assigned to; a split with a share of 0 gets none.

    Returns:
        str [images].
    """
    names, ends = _bounds(shares, among)
    position = np.array([_position(key, shares.seed) for key in _keys(table, units)])
    place = np.minimum(np.searchsorted(ends, position, "right"), len(names) - 1)
    labels, _ = pd.factorize(table["class"])
    for members in np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1]):
        _fill_empty_splits(units[members], place, position, ends)
    return np.array(names)[place[units]]


def units_of(groups: pd.Series, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each image's unit, int64 [images], from 0; the images of a unit must stay in one split.

    Args:
        groups: name of each image's group; empty for an image without a group.
        pairs: int64 [pairs, 2], positions of more images that must stay together.
    """
    named = np.flatnonzero(groups.ne(""))
    codes, _ = pd.factorize(groups.iloc[named])
    _, first = np.unique(codes, return_index=True)
    edges = np.concatenate([np.stack([named[first[codes]], named], 1), pairs])
    graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(len(groups), len(groups)))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _keys(table: pd.DataFrame, units: NDArray[np.int64]) -> list[str]:
    """The text that decides the split of each unit: the first of its members' group names and digests."""
    own = table["sha256"].mask(table["group"].ne(""), "group:" + table["group"])
    return own.groupby(units).min().tolist()


def _position(key: str, seed: int) -> float:
    """A uniform number in [0, 1) that depends on key and seed only."""
    digest = hashlib.sha256(f"{seed}:{key}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / HASH_RANGE


def _bounds(shares: SplitSpec, among: tuple[str, ...]) -> tuple[list[str], NDArray[np.float64]]:
    """The splits, and the end of each one's interval. Test is first: a new share of val does not change test."""
    wanted = {"test": shares.test, "val": shares.val, "train": shares.train}
    given = {name: share for name, share in wanted.items() if share and name in among}
    return list(given), np.cumsum(list(given.values())) / sum(given.values())


def _fill_empty_splits(
    units: NDArray[np.int64], place: NDArray[np.int64], position: NDArray[np.float64], ends: NDArray[np.float64]
) -> None:
    """Move units of one class into splits that have none of it. `units` has one entry per image."""
    different, inverse, sizes = np.unique(units, return_inverse=True, return_counts=True)
    for number, end in enumerate(ends):
        counts = np.bincount(place[units], minlength=len(ends))
        movable = (counts[place[units]] > sizes[inverse]) & (len(different) > 1)
        if counts[number] or not movable.any():
            continue
        middle = (end + (ends[number - 1] if number else 0)) / 2
        candidates = units[movable]
        place[candidates[np.argmin(np.abs(position[candidates] - middle))]] = number
