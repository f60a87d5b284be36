"""Find which channels are coupled, by following every channel through the graph.

Each tensor is described by the identities of the channels along its last axis. A layer with filters makes
new channels; a merge ties the channels it adds or multiplies; concatenation, flattening and reshaping move
identities. The slices of a layer's weights then follow from its input and output.
layer_rules.py says how each kind of layer does this. See docs/decisions/pruning-groups.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from secateur.pruning.channels import ChannelIds, Channels


@dataclass
class Constraint:
    """A layer that needs all its input channels."""

    layer: str
    channels: Channels
    reason: str


@dataclass
class Tie:
    """A layer that ties channels to each other."""

    layer: str
    kind: str
    channels: Channels


@dataclass
class ChannelGraph:
    """The coupled channels of one model.

    Attributes:
        ids: identities and their ties.
        produced: prunable layer name -> its output channels, in the order of computation.
        consumed: name of a layer with weights, or of a Reshape -> channels along its input axis.
        reshaped: name of a Reshape or transposed convolution -> channels along its output axis.
        norms: names of the batch normalisations.
        ends: names of the layers that read channels and do not pass them on: convolutions and dense layers.
        ties: the layers that couple channels, for the report.
        constraints: layers that need all their input channels.
        fixed: channels that always stay, such as those of the image.
        protected: prunable layers that lead to an output without another prunable layer between.
    """

    ids: ChannelIds = field(default_factory=ChannelIds)
    produced: dict[str, Channels] = field(default_factory=dict)
    consumed: dict[str, Channels] = field(default_factory=dict)
    reshaped: dict[str, Channels] = field(default_factory=dict)
    norms: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    ties: list[Tie] = field(default_factory=list)
    constraints: list[Constraint] = field(default_factory=list)
    fixed: list[Channels] = field(default_factory=list)
    protected: set[str] = field(default_factory=set)

    def new_fixed(self, count: int) -> Channels:
        """Mark channels that always stay."""
        channels = self.ids.new(count)
        self.fixed.append(channels)
        return channels

    def consume(self, layer: Any, channels: Channels) -> None:
        """Note the channels that a layer reads; the channels of all calls of a shared layer are tied."""
        if layer.name in self.consumed:
            self.tie(layer, self.consumed[layer.name], channels, "shared")
        self.consumed.setdefault(layer.name, channels)

    def produce(self, name: str, count: int) -> Channels:
        """The channels that a layer with filters makes; they are the same in all its calls."""
        if name not in self.produced:
            self.produced[name] = self.ids.new(count)
        return self.produced[name]

    def tie(self, layer: Any, first: Channels, second: Channels, kind: str = "") -> None:
        """Tie the channels at equal positions, because of `layer`."""
        self.ids.tie(first, second)
        self.ties.append(Tie(layer.name, kind or type(layer).__name__, first))


def per_group(layer: Any, channels: int) -> int:
    """The number of input channels that each filter of a convolution reads."""
    return channels // int(getattr(layer, "groups", 1))
