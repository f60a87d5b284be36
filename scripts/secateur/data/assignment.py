"""Dealing images to train, val and test by their content, so that adding some moves none of the others.

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

    An image's place depends on its bytes and the seed alone, or on its group's name, so that adding images moves none
    of the others. The shares hold for each class in expectation. A class that by chance has none in a split is given
    the unit nearest to that split, so that every split has every class.

    Args:
        table: `class`, `sha256` and `group` of different images, sorted by path.
        units: as `units_of`.
        shares: of the splits, and the seed.
        among: splits that images are dealt to; those with a share of 0 get none.

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
    """Images that must stay together, as the number of their unit, int64 [images], 0 to the number of units less one.

    Args:
        groups: name of each image's group; empty for an image by itself.
        pairs: int64 [pairs, 2], positions of images that must stay together too.
    """
    named = np.flatnonzero(groups.ne(""))
    codes, _ = pd.factorize(groups.iloc[named])
    _, first = np.unique(codes, return_index=True)
    edges = np.concatenate([np.stack([named[first[codes]], named], 1), pairs])
    graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(len(groups), len(groups)))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _keys(table: pd.DataFrame, units: NDArray[np.int64]) -> list[str]:
    """What decides the place of each unit: the least of its members' group names and digests."""
    own = table["sha256"].mask(table["group"].ne(""), "group:" + table["group"])
    return own.groupby(units).min().tolist()


def _position(key: str, seed: int) -> float:
    """A uniform number in [0, 1) that key and seed fix."""
    digest = hashlib.sha256(f"{seed}:{key}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / HASH_RANGE


def _bounds(shares: SplitSpec, among: tuple[str, ...]) -> tuple[list[str], NDArray[np.float64]]:
    """The splits, and where the interval of each ends; test first, so that changing val's share leaves test alone."""
    wanted = {"test": shares.test, "val": shares.val, "train": shares.train}
    given = {name: share for name, share in wanted.items() if share and name in among}
    return list(given), np.cumsum(list(given.values())) / sum(given.values())


def _fill_empty_splits(
    units: NDArray[np.int64], place: NDArray[np.int64], position: NDArray[np.float64], ends: NDArray[np.float64]
) -> None:
    """Move units of one class into splits that have none of it. `units` has one entry an image."""
    different, inverse, sizes = np.unique(units, return_inverse=True, return_counts=True)
    for number, end in enumerate(ends):
        counts = np.bincount(place[units], minlength=len(ends))
        movable = (counts[place[units]] > sizes[inverse]) & (len(different) > 1)
        if counts[number] or not movable.any():
            continue
        middle = (end + (ends[number - 1] if number else 0)) / 2
        candidates = units[movable]
        place[candidates[np.argmin(np.abs(position[candidates] - middle))]] = number
