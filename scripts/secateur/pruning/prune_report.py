"""The report of pruning, for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from secateur.models.cost import Cost
from secateur.pruning.budget import Reached


@dataclass(frozen=True)
class Group:
    """Channels that are kept or removed together.

    Attributes:
        members: names of the layers that own the filters.
        ties: layers that couple the members -> their kinds.
        total: number of channels before pruning.
        width: filters per channel in the narrowest member.
        kept: ascending positions that stay, counted within the group.
        kept_whole_because: `excluded`, `protected` or `fixed`; empty where channels could go.
        smallest, mean, largest: of the merged statistic.
        above_threshold: number of channels strictly above the threshold, if there is one.
    """

    members: tuple[str, ...]
    ties: dict[str, str]
    total: int
    width: int
    kept: tuple[int, ...]
    kept_whole_because: str
    smallest: float
    mean: float
    largest: float
    above_threshold: int | None


@dataclass(frozen=True)
class PruneReport:
    """The result of one pruning.

    Attributes:
        groups: in the order of computation.
        kept: prunable layer name -> ascending indices of its filters that stay.
        before, after: parameters and MACs.
        threshold: the threshold of the cut, below 0 if nothing was removed; None after several cuts.
        reached: how the budget was met, if there is one.
    """

    groups: tuple[Group, ...]
    kept: dict[str, list[int]]
    before: Cost
    after: Cost
    threshold: float | None
    reached: Reached | None = None

    def as_json(self) -> dict[str, Any]:
        """The report as plain data. Ratios are given both as kept and as removed."""
        return {
            "params_before": self.before.params,
            "params_after": self.after.params,
            "params_kept_ratio": self.after.params / self.before.params,
            "params_removed_ratio": 1 - self.after.params / self.before.params,
            "macs_before": self.before.macs,
            "macs_after": self.after.macs,
            "macs_kept_ratio": self.after.macs / max(self.before.macs, 1),
            "macs_removed_ratio": 1 - self.after.macs / max(self.before.macs, 1),
            "threshold": self.threshold,
            "budget": self._budget(),
            "groups": [
                {**asdict(group), "members": list(group.members), "kept": len(group.kept)} for group in self.groups
            ],
            "kept": self.kept,
        }

    def _budget(self) -> dict[str, Any] | None:
        reached = self.reached
        if reached is None:
            return None
        return {
            "key": reached.key,
            "target": reached.target,
            "before": reached.before,
            "reached": reached.value,
            "busy": reached.busy,
        }
