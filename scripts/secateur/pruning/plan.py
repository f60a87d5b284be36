"""All that a cut of a model depends on: its groups, their statistics, and the channels that each threshold keeps."""

from __future__ import annotations

from functools import lru_cache

import keras
import numpy as np
from numpy.typing import NDArray

from secateur.errors import ModelError, SpecError
from secateur.models.cost import Cost
from secateur.pruning.channels import Statistics
from secateur.pruning.groups import Coupled, coupled_groups, kept_channels
from secateur.pruning.importance import statistics_of
from secateur.pruning.layer_rules import channel_graph
from secateur.pruning.surgery import Cut, CutCost, rebuild
from secateur.pruning.taylor import LabelledImages
from secateur.spec import PruneSpec

NOTHING_REMOVED = -1.0  # below every statistic and every rank


class Plan:
    """The cuts that one prune section allows on one model. A higher threshold never removes less.

    Args:
        model: any built functional model of plain layers with channels last; it is not changed.
        prune_spec: the prune section.
        images: for `importance: taylor` and `recalibrate_bn`.

    Raises:
        SpecError: the model does not have an excluded layer, or images are needed and absent.
        ModelError: the graph cannot be followed.
    """

    def __init__(self, model: keras.Model, prune_spec: PruneSpec, images: LabelledImages | None = None) -> None:
        if images is None and (prune_spec.importance == "taylor" or prune_spec.recalibrate_bn):
            needs = "importance taylor" if prune_spec.importance == "taylor" else "recalibrate_bn"
            raise SpecError(f"prune: {needs} needs training images", "give prune() the images")
        self.model, self.prune_spec = model, prune_spec
        self.graph = channel_graph(model)
        self.groups = coupled_groups(model, self.graph, prune_spec)
        self.statistics = statistics_of(model, self.graph, self.groups, prune_spec, images)
        self._levels = _ranks(self.statistics, self.groups) if prune_spec.budget and self.groups else self.statistics
        self._cost = CutCost(model, self.graph)
        self.cost = lru_cache(maxsize=None)(self._cost_at)

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """All thresholds that lead to different cuts, ascending; the first removes nothing.

        For a budget they are ranks, in which equal statistics differ. So a network whose channels are all alike can be
        cut to any size too.
        """
        free = [levels for levels, group in zip(self._levels, self.groups, strict=True) if not group.kept_whole_because]
        return np.unique(np.concatenate([[NOTHING_REMOVED], *free]))

    def statistic_at(self, threshold: float) -> float:
        """The largest statistic that a threshold of `thresholds` removes; below 0 where it removes nothing."""
        free = [index for index, group in enumerate(self.groups) if not group.kept_whole_because]
        at = [self.statistics[index][self._levels[index] <= threshold].max(initial=NOTHING_REMOVED) for index in free]
        return float(max(at, default=NOTHING_REMOVED))

    def kept(self, threshold: float) -> list[NDArray[np.int64]]:
        """For each group, the ascending indices of the channels that stay."""
        return [
            np.arange(len(group))
            if group.kept_whole_because
            else kept_channels(values, self.prune_spec, threshold, group.width)
            for values, group in zip(self._levels, self.groups, strict=True)
        ]

    def cut(self, threshold: float) -> Cut:
        """The positions of each layer that stay."""
        kept = self.kept(threshold)
        removed = [np.delete(group.roots, stay) for group, stay in zip(self.groups, kept, strict=True)]
        return Cut(self.graph, np.concatenate([np.empty(0, np.int64), *removed]))

    def pruned(self, threshold: float) -> keras.Model:
        """The pruned network. Raises ModelError for a layer that cannot follow pruned channels."""
        cut = self.cut(threshold)
        self._check_constraints(cut)
        return rebuild(self.model, cut)

    def _cost_at(self, threshold: float) -> Cost:
        return self._cost.after(self.cut(threshold))

    def _check_constraints(self, cut: Cut) -> None:
        """Refuse the cut if a layer would lose channels that it needs. The hint names all layers to exclude at once."""
        roots, removed = self.graph.ids.roots, cut.removed
        broken = [item for item in self.graph.constraints if np.isin(roots(item.channels), removed).any()]
        if not broken:
            return
        needed = np.concatenate([np.intersect1d(roots(item.channels), removed) for item in broken])
        names = [name for name, channels in self.graph.produced.items() if np.isin(roots(channels), needed).any()]
        first, more = broken[0], len({item.layer for item in broken}) - 1
        others = f", and {more} more" if more else ""
        raise ModelError(
            f"layer '{first.layer}': {first.reason}{others}", f"add to prune.excluded_layers: {', '.join(names)}"
        )


def _ranks(statistics: list[Statistics], groups: list[Coupled]) -> list[Statistics]:
    """The rank of each channel among all prunable ones, from 0; of equal channels, the later in a layer is first."""
    sizes = [len(values) for values in statistics]
    values = np.concatenate(statistics)
    places = np.concatenate([np.arange(size) / size for size in sizes])
    whole = np.concatenate(
        [np.full(size, bool(group.kept_whole_because)) for size, group in zip(sizes, groups, strict=True)]
    )
    ranks = np.empty(len(values))
    ranks[np.lexsort((-places, values, whole))] = np.arange(len(values))
    return np.split(ranks, np.cumsum(sizes)[:-1])
