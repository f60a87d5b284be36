"""Find the threshold whose cut meets a budget.

A higher threshold never removes less, so the search runs over the ordered list of all different thresholds. MACs and
parameters follow from shapes. Size and latency are measured on a few exported networks, which are chosen by their
MACs or parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

from secateur.errors import SpecError
from secateur.export.timing import measured
from secateur.keras_to_onnx.writer import to_onnx
from secateur.pruning.plan import NOTHING_REMOVED, Plan
from secateur.spec import PruneSpec

MEGABYTE = 1_000_000
MOST_MEASUREMENTS = 10
CLOSE_ENOUGH = 0.99  # share of the target: if a network is this close, no more are measured
COUNTED = ("target_macs", "target_params")
UNITS = {
    "target_macs": "MACs",
    "target_params": "parameters",
    "target_size_mb": "MB",
    "target_latency_ms": "ms",
}


@dataclass(frozen=True)
class Reached:
    """The way in which a budget was met.

    Attributes:
        key: of the prune section.
        target: the largest allowed value; a share is turned into a number.
        before: the value of the model.
        value: the value of the pruned model.
        threshold: of the cut, one of the plan's thresholds.
        busy: whether a latency among the values was measured on a busy machine.
    """

    key: str
    target: float
    before: float
    value: float
    threshold: float
    busy: bool = False

    @property
    def unit(self) -> str:
        """The unit of the values, for people."""
        return UNITS[self.key]


def meet(plan: Plan, progress: float = 1.0) -> Reached:
    """The cut that removes least among those found that meet the plan's budget.

    Args:
        plan: of a section with a target.
        progress: share of the way to the target, in (0, 1]; equal steps divide the cost by equal factors.

    Raises:
        SpecError: no cut meets the budget; the message names the least possible value.
    """
    search = _Search(plan)
    goal = search.before * (min(search.target / search.before, 1)) ** progress
    if search.before <= goal:
        return Reached(search.key, search.target, search.before, search.before, NOTHING_REMOVED, search.busy)
    least = search.measure(search.thresholds[-1])
    if least > goal:
        raise _impossible(search, least)
    threshold, value = search.exact(goal) if search.counted else search.measured(goal, least)
    target = goal if progress < 1 else search.target
    return Reached(search.key, target, search.before, value, threshold, search.busy)


class _Search:
    """The search for one budget on one plan."""

    def __init__(self, plan: Plan) -> None:
        assert plan.prune_spec.budget is not None
        self.plan, self.key = plan, plan.prune_spec.budget
        self.thresholds = [float(threshold) for threshold in plan.thresholds]
        self.counted, self.busy = self.key in COUNTED, False
        self.before = self.measure(self.thresholds[0])
        given = float(getattr(plan.prune_spec, self.key))
        self.target = given * self.before if self.counted and given <= 1 else given

    def measure(self, threshold: float) -> float:
        """The value that the budget limits, for one cut."""
        value, busy = measured_cost(self.plan, threshold)
        self.busy = self.busy or busy
        return value

    def expected(self, threshold: float) -> float:
        """The count that the search uses: MACs for MACs and latency, parameters for parameters and size."""
        return _counted(self.plan, threshold)

    def exact(self, goal: float) -> tuple[float, float]:
        """The lowest threshold whose count is at most `goal`, by bisection."""
        low, high = 0, len(self.thresholds) - 1
        while low < high:
            middle = (low + high) // 2
            if self.expected(self.thresholds[middle]) <= goal:
                high = middle
            else:
                low = middle + 1
        return self.thresholds[high], self.expected(self.thresholds[high])

    def measured(self, goal: float, least: float) -> tuple[float, float]:
        """The measured cut that meets `goal` and removes least, found by a secant search with bisection as fallback."""
        over = (self.expected(self.thresholds[0]), self.before)
        best, under = self.thresholds[-1], (self.expected(self.thresholds[-1]), least)
        for turn in range(MOST_MEASUREMENTS):
            if under[1] >= CLOSE_ENOUGH * goal:
                break
            share = (goal - under[1]) / (over[1] - under[1]) if turn % 3 != 2 else 0.5
            threshold, count = self.exact(under[0] + share * (over[0] - under[0]))
            if count <= under[0] and turn % 3 != 2:
                continue
            if count in (under[0], over[0]):
                break
            value = self.measure(threshold)
            if value <= goal:
                best, under = threshold, (count, value)
            else:
                over = (count, value)
        return best, under[1]


def measured_cost(plan: Plan, threshold: float) -> tuple[float, bool]:
    """The value of a cut's network that the budget limits, counted or measured; whether the machine was busy then."""
    key = plan.prune_spec.budget
    if key in COUNTED:
        return _counted(plan, threshold), False
    exported = to_onnx(plan.pruned(threshold)).SerializeToString()
    if key == "target_size_mb":
        return len(exported) / MEGABYTE, False
    found = measured([exported], plan.prune_spec.latency_threads, plan.prune_spec.latency_batch)
    return found.timings[0].p10, found.load.busy


def _counted(plan: Plan, threshold: float) -> float:
    cost = plan.cost(threshold)
    return float(cost.macs if plan.prune_spec.budget in ("target_macs", "target_latency_ms") else cost.params)


def _impossible(search: _Search, least: float) -> SpecError:
    prune_spec: PruneSpec = search.plan.prune_spec
    given = getattr(prune_spec, search.key)
    share = f", {least / search.before:.1%} of the model's" if search.counted else ""
    shown = f"{least:,.0f}" if search.counted else f"{least:.3g}"
    kept = [name for group in search.plan.groups if group.kept_whole_because == "excluded" for name in group.members]
    excluded = " and prune.excluded_layers" if kept else ""
    return SpecError(
        f"prune.{search.key}: {given:g} cannot be met: the least possible value is {shown} {UNITS[search.key]}{share}, "
        f"with min_num_filters {prune_spec.min_num_filters} and granularity {prune_spec.granularity}{excluded}",
        "raise the target, or lower prune.min_num_filters",
    )
