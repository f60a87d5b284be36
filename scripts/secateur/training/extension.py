"""Go on with a finished training after `num_epochs` was raised, where its learning rates allow it.

See docs/decisions/more-epochs.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from secateur.spec import TrainSpec
from secateur.training.checkpoints import TrainingState
from secateur.training.rates import rate_of_batch


@dataclass(frozen=True)
class Extension:
    """Whether a training goes on from a finished one.

    Attributes:
        words: what is said.
        goes_on: False: it starts from epoch 1.
        restart: the finished epochs before the schedule begins again; 0 if it never did.
    """

    words: str
    goes_on: bool
    restart: int = 0


def extension(step: str, train_spec: TrainSpec, done: TrainingState, before: int, batches: int) -> Extension:
    """Whether a training goes on from a finished one that differs in `num_epochs` only.

    Args:
        step: `train` or `retrain`.
        train_spec: of the training.
        done: the end of the finished one.
        before: its `num_epochs`.
        batches: number of batches per epoch.
    """
    reason = _reason(step, train_spec, done, before, batches)
    if reason:
        return Extension(f"starts from epoch 1, although {_epochs(done.epoch)} finished: {reason}", False)
    words = f"goes on after epoch {done.epoch} of the finished training, to epoch {train_spec.num_epochs}"
    if train_spec.extend == "warm_restart":
        words += f"; the schedule runs again from epoch {done.epoch + 1} on"
        return Extension(words, True, done.epoch)
    return Extension(words, True, done.restart)


def _epochs(count: int) -> str:
    return "1 epoch is" if count == 1 else f"{count} epochs are"


def _reason(step: str, train_spec: TrainSpec, done: TrainingState, before: int, batches: int) -> str:
    """Why it cannot go on; empty if it can."""
    now = train_spec.num_epochs
    if now < done.epoch:
        return f"{step}.num_epochs is {now}; with {done.epoch} or more they can be used"
    if not done.variables:
        return "they were trained by an older version, which did not keep the state of the optimizer"
    if train_spec.extend == "warm_restart" or _same_rates(train_spec, done, before, batches):
        return ""
    config = train_spec.lr_config
    return (
        f"{step}.lr_config.scheduler {config.scheduler} has other learning rates for them with {now} epochs than with "
        f"{before}; to go on from them, stop this training, delete its checkpoints (checkpoint_*.age) and set "
        f"{step}.extend: warm_restart, which runs the schedule again over the new epochs"
    )


def _same_rates(train_spec: TrainSpec, done: TrainingState, before: int, batches: int) -> bool:
    """Whether each batch since the schedule began had the rate that it has with the new number of epochs."""
    earlier = train_spec.model_copy(update={"num_epochs": before})
    return all(
        rate_of_batch(earlier, batch, batches, done.restart) == rate_of_batch(train_spec, batch, batches, done.restart)
        for batch in range(batches * done.restart, batches * done.epoch)
    )
