"""Groups of channels that are kept or removed together, and how many of each group are kept."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from math import gcd

import keras
import numpy as np
from numpy.typing import NDArray

from secateur.errors import SpecError
from secateur.pruning.channel_graph import ChannelGraph
from secateur.pruning.channels import Statistics
from secateur.spec import PruneSpec
from secateur.spec.patterns import matching


@dataclass
class Coupled:
    """Tied channels with the same member layers.

    Attributes:
        members: names of the layers that own the filters.
        roots: the identities, ascending.
        width: filters per channel in the narrowest member: 1, or more with grouped convolutions.
        ties: names of the layers that couple the members, with their kinds.
        kept_whole_because: `excluded`, `protected` or `fixed`; empty where channels may go.
    """

    members: tuple[str, ...]
    roots: NDArray[np.int64]
    width: int = 1
    ties: dict[str, str] = field(default_factory=dict)
    kept_whole_because: str = ""

    def __len__(self) -> int:
        return len(self.roots)


def coupled_groups(model: keras.Model, graph: ChannelGraph, prune_spec: PruneSpec) -> list[Coupled]:
    """All groups, in the order of computation.

    Raises:
        SpecError: an entry of `excluded_layers` matches no layer of the model.
    """
    owners: dict[int, list[str]] = defaultdict(list)
    for name, channels in graph.produced.items():
        for root in graph.ids.roots(channels).tolist():
            owners[root].append(name)
    gathered: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for root, names in owners.items():
        gathered[tuple(names)].append(root)
    excluded = _excluded(model, prune_spec)
    ties = _ties(graph)
    fixed = {int(root) for channels in graph.fixed for root in np.unique(graph.ids.roots(channels))}
    return [_coupled(names, sorted(roots), graph, ties, excluded, fixed) for names, roots in gathered.items()]


def _coupled(
    names: tuple[str, ...],
    roots: list[int],
    graph: ChannelGraph,
    ties: dict[int, dict[str, str]],
    excluded: set[str],
    fixed: set[int],
) -> Coupled:
    members = tuple(dict.fromkeys(names))
    group = Coupled(members, np.array(roots), min(names.count(name) for name in members))
    for root in roots:
        group.ties.update(ties.get(root, {}))
    if excluded & set(members):
        group.kept_whole_because = "excluded"
    elif graph.protected & set(members):
        group.kept_whole_because = "protected"
    elif fixed & set(roots):
        group.kept_whole_because = "fixed"
    return group


def _excluded(model: keras.Model, prune_spec: PruneSpec) -> set[str]:
    names = [layer.name for layer in model.layers]
    found: set[str] = set()
    for pattern in prune_spec.excluded_layers:
        hits = matching(pattern, names)
        if not hits:
            raise SpecError(
                f"prune.excluded_layers: the model has no layer '{pattern}'",
                "remove it and prune: prune/report.json then lists all layers; * and ? match any letters",
            )
        found |= set(hits)
    return found


def _ties(graph: ChannelGraph) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for tie in graph.ties:
        for root in np.unique(graph.ids.roots(tie.channels)).tolist():
            found[root][tie.layer] = tie.kind
    return found


def kept_count(statistics: Statistics, prune_spec: PruneSpec, threshold: float, width: int = 1) -> int:
    """The number of channels to keep: those above the threshold, at least the minimum, rounded up to the granularity.

    Args:
        statistics: float64 [channels].
        prune_spec: its `granularity` and `min_num_filters` count filters of a layer.
        threshold: in the statistics' own unit.
        width: filters that each channel has in the narrowest member.
    """
    total = len(statistics)
    fewest = -(-prune_spec.min_num_filters // width)
    step = prune_spec.granularity // gcd(prune_spec.granularity, width)
    count = max(int((statistics > threshold).sum()), min(fewest, total))
    return min(-(-count // step) * step, total)


def kept_channels(statistics: Statistics, prune_spec: PruneSpec, threshold: float, width: int = 1) -> NDArray[np.int64]:
    """The ascending indices of the channels with the largest statistics; of equal ones, the first."""
    order = np.argsort(-statistics, kind="stable")
    return np.sort(order[: kept_count(statistics, prune_spec, threshold, width)])
