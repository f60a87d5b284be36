"""Images that look alike though their bytes differ: copies that were resized, compressed again or made brighter."""

from __future__ import annotations

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from secateur.data.images import eight_bit

BITS = 64
# Of 64. Of 300 photos all copies of half the size, all of JPEG quality 50 and 97 % of those 15 % brighter are as near.
MAX_DISTANCE = 4
# Two hashes that differ in 4 bits have one of 5 bands in common.
BANDS = (0, 13, 26, 39, 52)
BAND_BITS = 13
# In a crowd of hashes that share a band each is compared with so many: bounds the time.
MAX_NEIGHBOURS = 256
# The hash looks at 32 x 32 pixels and sets the half of its bits that is above the median: an image without that much
# detail has a hash that says nothing, kept as 0.
MIN_SIDE = 32
SET_BITS = range(28, 37)
NO_HASH = 0


def perceptual_hash(image: Image.Image) -> int:
    """pHash, 64 bits (Zauner 2010, section 3.2.1, as in ImageHash); `NO_HASH` for an image without detail."""
    if min(image.size) < MIN_SIDE:
        return NO_HASH
    bits = imagehash.phash(eight_bit(image, "L")).hash
    value = int.from_bytes(np.packbits(bits).tobytes(), "big")
    return value if value.bit_count() in SET_BITS else NO_HASH


def similar_pairs(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Pairs of positions, int64 [pairs, 2], of images whose hashes differ in `MAX_DISTANCE` bits or fewer.

    Of images with one and the same hash each is paired with the first; so that all that look alike are connected, while
    there are no more pairs than need be. In a crowd (see `MAX_NEIGHBOURS`) some pairs are left out.
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
