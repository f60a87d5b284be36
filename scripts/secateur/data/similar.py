"""Find images that look alike although their bytes differ: resized, recompressed or brightened copies."""

from __future__ import annotations

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

BITS = 64
# Bits of 64. Of 300 photos, all copies of half the size, all copies of JPEG quality 50 and 97 % of the copies that
# are 15 % brighter are within this distance.
MAX_DISTANCE = 4
# Two hashes that differ in 4 bits have one of 5 bands in common.
BANDS = (0, 13, 26, 39, 52)
BAND_BITS = 13
# If many hashes share a band, each is compared with this many others only, which limits the time.
MAX_NEIGHBOURS = 256
# The hash of 32 x 32 pixels sets the half of its bits that is above the median. The hash of an image without detail
# means nothing; it is stored as 0.
MIN_SIDE = 32
SET_BITS = range(28, 37)
NO_HASH = 0


def perceptual_hash(gray: Image.Image) -> int:
    """The pHash of 64 bits of an image in mode `L`; `NO_HASH` for an image without detail.

    Zauner 2010, section 3.2.1, as in ImageHash.
    """
    if min(gray.size) < MIN_SIDE:
        return NO_HASH
    bits = imagehash.phash(gray).hash
    value = int.from_bytes(np.packbits(bits).tobytes(), "big")
    return value if value.bit_count() in SET_BITS else NO_HASH


def similar_pairs(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Pairs of positions, int64 [pairs, 2], of images whose hashes differ in at most `MAX_DISTANCE` bits.

    Images with equal hashes are each paired with the first of them only: all are connected, with few pairs. If very
    many hashes are close (see `MAX_NEIGHBOURS`), some pairs are missing.
    """
    positions = np.flatnonzero(hashes != NO_HASH)
    unique, first, where = np.unique(hashes[positions], return_index=True, return_inverse=True)
    equal = np.stack([positions[first[where]], positions], 1)
    pairs = [equal[equal[:, 0] != equal[:, 1]]]
    for shift in BANDS:
        pairs.append(positions[first[_near_in_band(unique, shift)]])
    return np.unique(np.sort(np.concatenate(pairs), 1), axis=0)


def _near_in_band(unique: NDArray[np.uint64], shift: int) -> NDArray[np.int64]:
    band = (unique >> np.uint64(shift)) & np.uint64(2**BAND_BITS - 1)
    order = np.argsort(band, kind="stable")
    band, sorted_hashes = band[order], unique[order]
    start = np.arange(len(order))
    found = [np.empty((0, 2), np.int64)]
    for step in range(1, MAX_NEIGHBOURS + 1):
        start = start[start + step < len(order)]
        start = start[band[start] == band[start + step]]
        if not len(start):
            break
        near = start[np.bitwise_count(sorted_hashes[start] ^ sorted_hashes[start + step]) <= MAX_DISTANCE]
        found.append(np.stack([order[near], order[near + step]], 1))
    return np.concatenate(found)
