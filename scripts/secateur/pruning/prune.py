"""Structured pruning by the magnitude of filters (Molchanov et al., arXiv:1611.06440; rules in tao-facts 2)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import keras
import numpy as np

from secateur.cost import cost_of
from secateur.errors import ModelError, SpecError
from secateur.pruning.choose import kept_channels
from secateur.pruning.graph import ChannelGraph, channel_graph
from secateur.pruning.importance import Statistics, filter_norms, merged, normalized
from secateur.pruning.report import Group, PruneReport
from secateur.pruning.surgery import Cut, rebuild
from secateur.spec import PruneSpec


@dataclass
class Coupled:
    """Tied channels with the same member layers.

    Attributes:
        members: layer names, one entry for each filter that a channel has.
        roots: the identities, in channel order.
        positions: for each member its filter index per channel.
    """

    members: tuple[str, ...]
    roots: list[int]
    positions: list[list[int]]


def prune(model: keras.Model, spec: PruneSpec) -> tuple[keras.Model, PruneReport]:
    """Remove whole channels of weak filters.

    Args:
        model: any built functional model of plain layers with channels last; it is not changed.
        spec: the prune section.

    Returns:
        A new, uncompiled model with the same layer names, and the report.

    Raises:
        SpecError: an excluded layer that the model does not have.
        ModelError: a layer that cannot follow pruned channels, named.
    """
    graph = channel_graph(model)
    excluded = _excluded(model, graph, spec)
    statistics = {name: normalized(filter_norms(model.get_layer(name)), spec.normalizer) for name in graph.produced}
    fixed = {int(root) for channels in graph.fixed for root in graph.ids.roots(channels)}
    groups, removed = [], set[int]()
    for coupled in _coupled(graph):
        group = _decide(coupled, statistics, excluded, graph.protected, fixed, spec)
        groups.append(group)
        removed |= set(np.delete(np.array(coupled.roots), group.kept).tolist())
    _check_constraints(graph, removed)
    cut = Cut(graph, removed)
    narrow = rebuild(model, cut)
    kept = {name: cut.outputs[name].tolist() for name in graph.produced}
    return narrow, PruneReport(tuple(groups), kept, cost_of(model), cost_of(narrow))


def _excluded(model: keras.Model, graph: ChannelGraph, spec: PruneSpec) -> set[str]:
    names = {layer.name for layer in model.layers}
    for name in spec.excluded_layers:
        if name not in names:
            raise SpecError(f"prune.excluded_layers: the model has no layer '{name}'", "list the layers with inspect")
    return set(spec.excluded_layers) & set(graph.produced)


def _coupled(graph: ChannelGraph) -> list[Coupled]:
    """Tied channels gathered by the layers that they belong to, in the order of computation."""
    owners: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for name, channels in graph.produced.items():
        for position, root in enumerate(graph.ids.roots(channels).tolist()):
            owners[root].append((name, position))
    gathered: dict[tuple[str, ...], Coupled] = {}
    for root, members in owners.items():
        names = tuple(name for name, _ in members)
        coupled = gathered.setdefault(names, Coupled(names, [], [[] for _ in names]))
        coupled.roots.append(root)
        for positions, (_, position) in zip(coupled.positions, members, strict=True):
            positions.append(position)
    return list(gathered.values())


def _decide(
    coupled: Coupled,
    statistics: dict[str, Statistics],
    excluded: set[str],
    protected: set[str],
    fixed: set[int],
    spec: PruneSpec,
) -> Group:
    own = [statistics[name][positions] for name, positions in zip(coupled.members, coupled.positions, strict=True)]
    joint = merged(own, spec.equalization_criterion)
    reason = ""
    if excluded & set(coupled.members):
        reason = "excluded"
    elif protected & set(coupled.members):
        reason = "protected"
    elif fixed & set(coupled.roots):
        reason = "fixed"
    kept = range(len(joint)) if reason else kept_channels(joint, spec).tolist()
    return Group(
        members=tuple(dict.fromkeys(coupled.members)),
        total=len(joint),
        kept=tuple(kept),
        fixed=reason,
        smallest=float(joint.min()),
        mean=float(joint.mean()),
        largest=float(joint.max()),
        above_threshold=int((joint > spec.threshold).sum()),
    )


def _check_constraints(graph: ChannelGraph, removed: set[int]) -> None:
    """Refuse, naming all layers to exclude at once, when something would lose channels that it needs."""
    gone = np.array(sorted(removed), dtype=np.int64)
    hits = [
        (constraint, np.intersect1d(graph.ids.roots(constraint.channels), gone)) for constraint in graph.constraints
    ]
    broken = [(constraint, hit) for constraint, hit in hits if len(hit)]
    if not broken:
        return
    needed = np.concatenate([hit for _, hit in broken])
    names = [name for name, channels in graph.produced.items() if np.isin(graph.ids.roots(channels), needed).any()]
    first, more = broken[0][0], len({constraint.layer for constraint, _ in broken}) - 1
    others = f", and {more} more" if more else ""
    raise ModelError(
        f"layer '{first.layer}': {first.reason}{others}", f"add to prune.excluded_layers: {', '.join(names)}"
    )
