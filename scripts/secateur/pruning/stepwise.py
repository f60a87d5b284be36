"""Reach a budget in several cuts, with a short training between two cuts (`prune.steps`).

Han et al. (arXiv:1506.02626) and Molchanov et al. (arXiv:1611.06440) prune in this way. Without training
(`step_epochs: 0`) several cuts still differ from one cut, since the importance is measured again after each. Each cut
divides the value that the budget limits by the same factor.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from secateur.models.cost import cost_of
from secateur.models.file import load_model, save_model
from secateur.pruning.budget import measured_cost
from secateur.pruning.plan import NOTHING_REMOVED, Plan
from secateur.pruning.prune_report import PruneReport
from secateur.pruning.pruner import Kept, cut_once, report_of
from secateur.pruning.taylor import LabelledImages
from secateur.spec import PruneSpec

# The training between two cuts, if any: (model, number of the last cut, from 1) -> the model to cut next.
ShortTraining = Callable[[keras.Model, int], keras.Model]


class Stepwise:
    """Prunes in steps and continues where an earlier process stopped.

    Args:
        model: the model to prune; it is not changed.
        prune_spec: the prune section, with a target.
        images: training images, where `prune_spec.needs_images`.
        train: the short training.
        folder: for the models between two cuts; None keeps none.
        key: passphrase of these models.
        identity: plain data that must be the same in the run that wrote a kept model.
    """

    def __init__(
        self,
        model: keras.Model,
        prune_spec: PruneSpec,
        images: LabelledImages | None,
        train: ShortTraining,
        folder: Path | None = None,
        key: str | None = "",
        identity: dict[str, Any] | None = None,
    ) -> None:
        self.model, self.prune_spec, self.images, self.train = model, _absolute(model, prune_spec), images, train
        self.folder, self.key = folder, key
        # In the form that JSON gives back: tuples become lists.
        self.identity = json.loads(json.dumps(identity or {}))

    def run(self) -> tuple[keras.Model, PruneReport]:
        """The pruned model and one report of all cuts. Raises as `prune` does."""
        first = Plan(self.model, self.prune_spec, self.images)
        current, kept, done = self._kept_before()
        reached = None
        for step in range(done + 1, self.prune_spec.steps + 1):
            plan = Plan(current, self.prune_spec, self.images) if step > 1 else first
            progress = 1 / (self.prune_spec.steps - step + 1)
            narrow, stays, _, reached = cut_once(plan, self.prune_spec, self.images, progress)
            kept = {name: [kept[name][index] for index in own] if kept else own for name, own in stays.items()}
            current = narrow
            if step < self.prune_spec.steps:
                current = self.train(narrow, step)
                self._keep(current, kept, step)
        if reached is not None and self.prune_spec.steps > 1:
            before, busy = measured_cost(first, NOTHING_REMOVED)
            reached = replace(reached, before=before, busy=reached.busy or busy)
        return current, report_of(first, current, kept, None, reached)

    def forget(self) -> None:
        """Remove the models between two cuts, after the result was written."""
        for path in self._files():
            path.unlink()

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step_[0-9][0-9][0-9].tlt")) if self.folder else []

    def _keep(self, model: keras.Model, kept: Kept, step: int) -> None:
        if self.folder:
            card = {"pruned": True, "step": "prune", "cuts": step, "kept": kept, "identity": self.identity}
            save_model(model, self.folder / f"step_{step:03d}.tlt", self.key, card)

    def _kept_before(self) -> tuple[keras.Model, Kept, int]:
        """The last kept model of this run, the filters that it keeps, and its number of cuts."""
        for path in reversed(self._files()):
            model, card = load_model(path, self.key)
            if card.get("identity") == self.identity and card["cuts"] < self.prune_spec.steps:
                return model, card["kept"], card["cuts"]
        return self.model, {}, 0


def _absolute(model: keras.Model, prune_spec: PruneSpec) -> PruneSpec:
    """The section with a share of MACs or parameters turned into a number, so that all cuts have the same target."""
    cost = cost_of(model)
    for key, whole in (("target_macs", cost.macs), ("target_params", cost.params)):
        target = getattr(prune_spec, key)
        if target is not None and target <= 1:
            return prune_spec.model_copy(update={key: max(target * whole, 2)})
    return prune_spec
