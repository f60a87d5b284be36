"""Structured pruning: remove whole channels. Rules: docs/decisions/pruning-groups.md and pruning-counts.md."""

from __future__ import annotations

import keras
import numpy as np

from secateur.models.cost import cost_of
from secateur.pruning.budget import Reached, meet
from secateur.pruning.plan import Plan
from secateur.pruning.prune_report import Group, PruneReport
from secateur.pruning.recalibrate import recalibrate
from secateur.pruning.taylor import LabelledImages
from secateur.spec import PruneSpec

# Layer name -> ascending indices of the filters that stay.
Kept = dict[str, list[int]]


def prune(
    model: keras.Model, prune_spec: PruneSpec, images: LabelledImages | None = None
) -> tuple[keras.Model, PruneReport]:
    """Remove whole channels of little importance, in one cut.

    Args:
        model: any built functional model of plain layers with channels last; it is not changed.
        prune_spec: the prune section; its `steps` have no effect here.
        images: training images, where `prune_spec.needs_images`.

    Returns:
        A new, uncompiled model with the same layer names, and the report.

    Raises:
        SpecError: the model does not have an excluded layer, or the budget cannot be met.
        ModelError: a layer cannot follow pruned channels; the message names it.
    """
    plan = Plan(model, prune_spec, images)
    narrow, kept, threshold, reached = cut_once(plan, prune_spec, images)
    return narrow, report_of(plan, narrow, kept, threshold, reached)


def cut_once(
    plan: Plan, prune_spec: PruneSpec, images: LabelledImages | None, progress: float = 1.0
) -> tuple[keras.Model, Kept, float, Reached | None]:
    """One cut of a plan: the pruned model, the filters that stay, the threshold, and how the budget was met.

    Args:
        plan: the possible cuts.
        prune_spec: the prune section.
        images: as in `prune`.
        progress: share of the way to a target, in (0, 1].
    """
    reached = meet(plan, progress) if prune_spec.budget else None
    threshold = reached.threshold if reached else float(prune_spec.threshold or 0)
    narrow = plan.pruned(threshold)
    if prune_spec.recalibrate_bn and images is not None:
        recalibrate(narrow, images.pixels)
    outputs = plan.cut(threshold).outputs
    kept = {name: outputs[name].tolist() for name in plan.graph.produced}
    return narrow, kept, plan.statistic_at(threshold) if reached else threshold, reached


def report_of(
    plan: Plan, narrow: keras.Model, kept: Kept, threshold: float | None, reached: Reached | None
) -> PruneReport:
    """The report of one or several cuts.

    Args:
        plan: of the model before the first cut.
        narrow: the model after the last cut.
        kept: in the numbering of the model before the first cut.
        threshold: None after several cuts, since each has its own.
        reached: how the budget was met, if there is one.
    """
    stays = np.zeros(len(plan.graph.ids), dtype=bool)
    for name, channels in plan.graph.produced.items():
        stays[plan.graph.ids.roots(channels[kept[name]])] = True
    groups = [
        Group(
            members=group.members,
            ties=group.ties,
            total=len(group),
            width=group.width,
            kept=tuple(np.flatnonzero(stays[group.roots]).tolist()),
            kept_whole_because=group.kept_whole_because,
            smallest=float(values.min()),
            mean=float(values.mean()),
            largest=float(values.max()),
            above_threshold=None if threshold is None else int((values > threshold).sum()),
        )
        for group, values in zip(plan.groups, plan.statistics, strict=True)
    ]
    return PruneReport(tuple(groups), kept, cost_of(plan.model), cost_of(narrow), threshold, reached)
