"""The importance of each channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from secateur.errors import ModelError
from secateur.pruning.channel_graph import ChannelGraph
from secateur.pruning.channels import ChannelIds, Channels, Statistics
from secateur.pruning.groups import Coupled
from secateur.pruning.taylor import LabelledImages, taylor_importance
from secateur.spec import PruneSpec

Normalizer = Literal["max", "L2"]


@dataclass
class Vote:
    """The importance of channels as one layer sees them."""

    channels: Channels
    values: Statistics


def statistics_of(
    model: keras.Model,
    graph: ChannelGraph,
    groups: Sequence[Coupled],
    prune_spec: PruneSpec,
    images: LabelledImages | None = None,
) -> list[Statistics]:
    """The statistic of each channel of each group, on the scale of `prune.threshold`.

    With `ranking: layer` it is normalised within each layer, as in the specification. With `global` the raw figures of
    the whole network are normalised together. With `uniform` it is the rank of a channel within its group, so that all
    groups lose the same share.

    Args:
        images: for `importance: taylor`.

    Returns:
        float64 [channels] for each group.

    Raises:
        ModelError: weights or gradients are NaN or infinite, so that they have no order; the message names the layers.
    """
    found = _judged(model, graph, groups, prune_spec, images)
    if prune_spec.ranking == "uniform":
        return [_places(values) for values in found]
    if prune_spec.ranking == "global" and prune_spec.importance != "random":
        return _joint(found, groups, prune_spec.normalizer)
    return found


def _judged(
    model: keras.Model,
    graph: ChannelGraph,
    groups: Sequence[Coupled],
    prune_spec: PruneSpec,
    images: LabelledImages | None,
) -> list[Statistics]:
    """The importance of each channel of each group: raw with `ranking: global`, else normalised within layers."""
    if prune_spec.importance == "random":
        rng = np.random.default_rng(prune_spec.random_seed)
        return [rng.random(len(group)) for group in groups]
    raw = prune_spec.ranking == "global"
    if prune_spec.importance == "taylor":
        assert images is not None
        by_root = taylor_importance(model, graph, images)
        found = [by_root[group.roots] for group in groups]
        _require_finite(
            {", ".join(group.members): values for group, values in zip(groups, found, strict=True)}, prune_spec
        )
        return found if raw else [normalized(values, prune_spec.normalizer) for values in found]
    votes = _votes(model, graph, groups, prune_spec)
    _require_finite({name: vote.values for name, vote in votes.items()}, prune_spec)
    for vote in votes.values():
        vote.values = vote.values if raw else normalized(vote.values, prune_spec.normalizer)
    return _merged_votes(graph.ids, groups, votes, prune_spec.equalization_criterion)


def _require_finite(found: dict[str, Statistics], prune_spec: PruneSpec) -> None:
    for names, values in found.items():
        if not np.isfinite(values).all():
            raise ModelError(
                f"importance {prune_spec.importance} is NaN or infinite for channels of {names}",
                "check these layers for NaN, infinite or very large weights, or train the model again",
            )


def _places(values: Statistics) -> Statistics:
    """The rank of each channel in its group, in (0, 1]; of equal channels the later one ranks lower."""
    order = np.lexsort((-np.arange(len(values)), values))
    places = np.empty(len(values))
    places[order] = np.arange(1, len(values) + 1) / len(values)
    return places


def _joint(found: list[Statistics], groups: Sequence[Coupled], normalizer: Normalizer) -> list[Statistics]:
    """Normalise what may be cut as one long vector; groups that are kept whole do not set the scale."""
    free = [values for values, group in zip(found, groups, strict=True) if not group.kept_whole_because]
    if not free:
        return found
    together = np.concatenate(free)
    scale = normalized(together, normalizer).max() / (together.max() or 1)
    return [values * scale for values in found]


def _votes(
    model: keras.Model, graph: ChannelGraph, groups: Sequence[Coupled], prune_spec: PruneSpec
) -> dict[str, Vote]:
    if prune_spec.importance != "bn_scale":
        norm = filter_norms if prune_spec.importance == "l2" else filter_sums
        return {name: Vote(channels, norm(model.get_layer(name))) for name, channels in graph.produced.items()}
    votes = {
        name: Vote(graph.consumed[name], bn_scales(model.get_layer(name)))
        for name in graph.norms
        if model.get_layer(name).scale
    }
    return votes | _substitutes(model, graph, groups, votes)


def _substitutes(
    model: keras.Model, graph: ChannelGraph, groups: Sequence[Coupled], votes: dict[str, Vote]
) -> dict[str, Vote]:
    """For a group without batch normalisation, use the norms of its filters, scaled to the mean of all scales."""
    covered = {int(root) for vote in votes.values() for root in graph.ids.roots(vote.channels)}
    mean = float(np.mean([vote.values.mean() for vote in votes.values()])) if votes else 1.0
    found = {}
    for group in groups:
        if not covered & set(group.roots.tolist()):
            for name in group.members:
                norms = filter_norms(model.get_layer(name))
                found[name] = Vote(graph.produced[name], norms / (norms.mean() or 1) * mean)
    return found


def _merged_votes(
    ids: ChannelIds, groups: Sequence[Coupled], votes: dict[str, Vote], criterion: str
) -> list[Statistics]:
    """Merge the members of each group by `equalization_criterion`. A layer can have several filters per channel."""
    group_of, place_of = np.full(len(ids), -1), np.zeros(len(ids), dtype=np.int64)
    for index, group in enumerate(groups):
        group_of[group.roots], place_of[group.roots] = index, np.arange(len(group))
    rows: list[list[Statistics]] = [[] for _ in groups]
    for vote in votes.values():
        roots = ids.roots(vote.channels)
        for index in np.unique(group_of[roots]).tolist():
            own = group_of[roots] == index
            if index >= 0:
                rows[index] += _rows(place_of[roots[own]], vote.values[own], len(groups[index]))
    return [merged(of_group, criterion) for of_group in rows]


def _rows(places: NDArray[np.int64], values: Statistics, width: int) -> list[Statistics]:
    """One vector of the first value at each place, one of the second, and so on; NaN if a place has fewer values."""
    order = np.argsort(places, kind="stable")
    firsts = np.searchsorted(places[order], places[order])
    turns = np.arange(len(order)) - firsts
    rows = np.full((int(turns.max()) + 1, width), np.nan)
    rows[turns, places[order]] = values[order]
    return list(rows)


def filter_norms(layer: Any) -> Statistics:
    """The L2 norm of each filter, without biases (`importance: l2`; "minimum weight" of arXiv:1611.06440).

    Returns:
        float64 [filters].
    """
    return np.asarray(np.sqrt(np.square(_filters(layer)).sum(axis=0)))


def filter_sums(layer: Any) -> Statistics:
    """The sum of absolute weights of each filter (`importance: l1`; Li et al., Pruning Filters, arXiv:1608.08710)."""
    return np.asarray(np.abs(_filters(layer)).sum(axis=0))


def bn_scales(layer: Any) -> Statistics:
    """The absolute scale of each channel of a batch normalisation (`importance: bn_scale`; Liu et al., Network
    Slimming, arXiv:1708.06519)."""
    return np.abs(np.asarray(layer.gamma, dtype=np.float64))


def _filters(layer: Any) -> NDArray[np.float64]:
    """The weights of each filter as a column; for a separable convolution, those of its pointwise part."""
    index = 1 if isinstance(layer, layers.SeparableConv2D) else 0
    kernel = np.asarray(layer.get_weights()[index], dtype=np.float64)
    if isinstance(layer, layers.DepthwiseConv2D):
        return kernel.reshape(-1, kernel.shape[2] * kernel.shape[3])
    return kernel.reshape(-1, kernel.shape[-1])


def normalized(norms: Statistics, normalizer: Normalizer) -> Statistics:
    """Bring the norms of one layer to a common scale.

    `max` divides by the largest. `L2` divides by the Euclidean norm of the vector and multiplies by its
    length, so that N equal filters get sqrt(N). A layer of zeros stays zero.
    """
    if normalizer == "max":
        divisor = norms.max(initial=0)
        return norms / divisor if divisor else norms
    divisor = np.linalg.norm(norms)
    return norms / divisor * len(norms) if divisor else norms


def merged(members: Sequence[Statistics], criterion: str) -> Statistics:
    """The statistic of channels that are kept or removed together.

    Args:
        members: each float64 [channels], in the order of the group's channels; NaN if a member does not count.
        criterion: `union` takes the largest, `intersection` the smallest, `arithmetic_mean` and
            `geometric_mean` the mean; one zero makes the geometric mean zero.
    """
    stacked = np.stack(members)
    if criterion == "union":
        return np.asarray(np.nanmax(stacked, axis=0))
    if criterion == "intersection":
        return np.asarray(np.nanmin(stacked, axis=0))
    if criterion == "arithmetic_mean":
        return np.asarray(np.nanmean(stacked, axis=0))
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(np.nanmean(np.log(stacked), axis=0)))
