"""Identities of channels: which channels of which layers must be kept or removed together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# For each position of a tensor's last axis, the identity of the channel there.
Channels = NDArray[np.int64]
# The importance of each channel.
Statistics = NDArray[np.float64]


class ChannelIds:
    """Numbers channels and joins tied ones, as a disjoint-set forest."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._settled: Channels | None = None

    def __len__(self) -> int:
        return len(self._parent)

    def new(self, count: int) -> Channels:
        """Identities for `count` new channels that are not tied yet."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        self._settled = None
        return np.arange(start, start + count)

    def root(self, channel: int) -> int:
        """The identity that all channels tied to this one share: the lowest number among them."""
        parent = self._parent
        while parent[channel] != channel:
            parent[channel] = parent[parent[channel]]
            channel = parent[channel]
        return channel

    def roots(self, channels: Channels) -> Channels:
        """The `root` of the channel at every position."""
        if self._settled is None:
            self._settled = np.array([self.root(channel) for channel in range(len(self._parent))], dtype=np.int64)
        return self._settled[channels]

    def tie(self, first: Channels, second: Channels) -> None:
        """Tie the channels at equal positions."""
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            low, high = sorted((self.root(one), self.root(other)))
            self._parent[high] = low
        self._settled = None
