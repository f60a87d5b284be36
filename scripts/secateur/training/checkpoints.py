"""One sealed file that holds all that a training needs to go on."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from secateur import vault
from secateur.artifacts import atomic_file
from secateur.errors import SpecError, VaultError

FILE_NAME = "last.ckpt"


@dataclass
class TrainingState:
    """Where a training stands.

    Attributes:
        epoch: number of epochs done.
        history: one row an epoch.
        best_epoch: of the best validation accuracy, from 1; 0 before the first validation.
        best_score: (validation accuracy, minus validation loss) of that epoch.
        best_weights: the model's weights then.
        last_weights: the weights after the last epoch, once it is done.
    """

    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_score: tuple[float, float] = (-1.0, 0.0)
    best_weights: list[Any] = field(default_factory=list)
    last_weights: list[Any] = field(default_factory=list)


def identity_of(parts: dict[str, Any]) -> dict[str, str]:
    """A digest of each thing that must not change between a checkpoint and the run that goes on from it."""
    return {
        name: hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:16] for name, part in parts.items()
    }


def write_checkpoint(
    folder: Path, key: str, variables: list[Any], state: TrainingState, identity: dict[str, str]
) -> None:
    """Write the state of training and all variables that it changes as one sealed file, atomically."""
    about = {
        "epoch": state.epoch,
        "history": state.history,
        "best_epoch": state.best_epoch,
        "best_score": list(state.best_score),
        "identity": identity,
    }
    arrays = {f"state.{index:05d}": np.asarray(variable) for index, variable in enumerate(variables)}
    arrays |= {f"best.{index:05d}": weight for index, weight in enumerate(state.best_weights)}
    plain = io.BytesIO()
    np.savez(plain, allow_pickle=False, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
    plain.seek(0)
    with atomic_file(folder / FILE_NAME) as target:
        vault.seal(plain, target, key)


def read_checkpoint(folder: Path, key: str, variables: list[Any], identity: dict[str, str]) -> TrainingState:
    """Restore the variables from the checkpoint in `folder`; a fresh state when there is none.

    Args:
        variables: of the model and its optimizer, in the order in which they were written.
        identity: of the run that wants to go on.

    Raises:
        SpecError: the checkpoint belongs to another spec, class map or data; the message names what changed.
        VaultError: it cannot be opened.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return TrainingState()
    try:
        content = vault.read_sealed(path, key)
    except VaultError as error:
        raise type(error)(error.message, f"delete {path} to start afresh") from None
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        about = json.loads(arrays["about"].tobytes())
        changed = sorted(name for name in identity if about["identity"].get(name) != identity[name])
        if changed:
            raise SpecError(
                f"{path} belongs to an unfinished training with another {', '.join(changed)}",
                f"delete {path} to start afresh, or undo the change to go on",
            )
        for index, variable in enumerate(variables):
            variable.assign(arrays[f"state.{index:05d}"])
        best = [arrays[name] for name in sorted(arrays.files) if name.startswith("best.")]
    return TrainingState(about["epoch"], about["history"], about["best_epoch"], tuple(about["best_score"]), best)


def forget_checkpoint(folder: Path) -> None:
    """Remove the checkpoint of a training that is finished."""
    (folder / FILE_NAME).unlink(missing_ok=True)
