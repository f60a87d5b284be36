"""Sealed files that each hold all that a training needs to go on, to the bit.

See docs/decisions/checkpoints.md.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from secateur.errors import DamagedError, NotAgeError, SpecError, TruncatedError, WrongKeyError
from secateur.storage.atomic import atomic_file
from secateur.vault import age
from secateur.vault import files as vault_files

# The one before is kept for the case that the last is damaged.
KEPT = 2
FINISHED = "finished.age"
# Part of an identity that may change while a training is unfinished: what was done so far is worth more.
CODE = "code"
# Changes that an error names one by one.
MAX_NAMED = 5


@dataclass
class TrainingState:
    """Where a training stands.

    Attributes:
        epoch: number of epochs done, validation included.
        batch: number of batches done of the epoch after them.
        metrics: values of the metrics' variables after these batches.
        logs: loss and accuracy over these batches.
        history: one row an epoch.
        best_epoch: of the best validation accuracy, from 1; 0 before the first validation.
        best_score: (validation accuracy, minus validation loss) of that epoch.
        best_weights: the model's weights then.
        last_weights: the weights after the last epoch, once it is done.
        seconds: of training and validation so far, those of processes that were stopped included.
    """

    epoch: int = 0
    batch: int = 0
    metrics: list[Any] = field(default_factory=list)
    logs: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_score: tuple[float, float] = (-1.0, 0.0)
    best_weights: list[Any] = field(default_factory=list)
    last_weights: list[Any] = field(default_factory=list)
    seconds: float = 0.0


PLAIN = ("epoch", "batch", "logs", "history", "best_epoch", "best_score", "seconds")


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: where they stand; nothing else writes there.
        key: their pass phrase.
        identity: plain data by name, all that must be the same in a run that goes on: sections, class map, digests.
        writes: false in the processes of other hosts, which only read.
    """

    def __init__(self, folder: Path, key: str, identity: dict[str, Any] | None = None, writes: bool = True) -> None:
        self.folder, self.key, self.writes = folder, key, writes
        # As it will be read back: JSON knows no tuples.
        self.identity = json.loads(json.dumps(identity or {}))

    def files(self) -> list[Path]:
        """The checkpoints that are there, newest first."""
        return sorted(self.folder.glob("checkpoint_*.age"), reverse=True)

    def write(self, variables: list[Any], state: TrainingState) -> None:
        """Write the state and all variables that training changes as one sealed file; then drop the oldest.

        Raises:
            ArtifactError: it cannot be written; the checkpoints before it are still there.
        """
        if not self.writes:
            return
        before = self.files()
        number = int(before[0].stem.partition("_")[2]) + 1 if before else 1
        groups = {"variables": variables, "metrics": state.metrics, "best_weights": state.best_weights}
        plain = _packed(groups, state, self.identity)
        with atomic_file(self.folder / f"checkpoint_{number:06d}.age", plain.getbuffer().nbytes) as target:
            age.seal(plain, target, self.key)
        for old in self.files()[KEPT:]:
            old.unlink(missing_ok=True)

    def read(self, variables: list[Any], stream: IO[str]) -> TrainingState:
        """Restore variables and state from the newest sound checkpoint; a fresh state when there is none.

        Args:
            variables: of the model and its optimizer, in the order in which they were written.
            stream: is told of a checkpoint that was damaged.

        Raises:
            SpecError: the checkpoint belongs to another spec, class map or data; the message names what changed.
            VaultError: none of them can be opened.
        """
        content = self._newest(stream)
        if content is None:
            return TrainingState()
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            about = json.loads(arrays["about"].tobytes())
            self._require_same(about["identity"])
            stored = _group(arrays, "variables")
            if [array.shape for array in stored] != [tuple(variable.shape) for variable in variables]:
                raise SpecError(
                    f"the unfinished training in {self.folder} is of another network", self._start_afresh("undo")
                )
            for variable, value in zip(variables, stored, strict=True):
                variable.assign(value)
            return _unpacked(about, arrays, ("metrics", "best_weights"))

    def finish(self, state: TrainingState) -> None:
        """Replace the checkpoints by the result: a process can still be killed before anyone knows that it was done."""
        if not self.writes:
            return
        groups = {"best_weights": state.best_weights, "last_weights": state.last_weights}
        plain = _packed(groups, state, self.identity)
        with atomic_file(self.folder / FINISHED, plain.getbuffer().nbytes) as target:
            age.seal(plain, target, self.key)
        self._drop(self.files())

    def finished(self) -> TrainingState | None:
        """The result of this very training, where it was done before; one of another training is dropped."""
        path = self.folder / FINISHED
        if not path.exists():
            return None
        try:
            with np.load(io.BytesIO(vault_files.read_encrypted(path, self.key)), allow_pickle=False) as arrays:
                about = json.loads(arrays["about"].tobytes())
                if about["identity"] == self.identity:
                    return _unpacked(about, arrays, ("best_weights", "last_weights"))
        except (WrongKeyError, DamagedError, TruncatedError, NotAgeError):
            pass
        if self.writes:
            path.unlink()
        return None

    def forget(self) -> None:
        """Remove everything, the result too."""
        self._drop([*self.files(), self.folder / FINISHED])

    def _drop(self, files: list[Path]) -> None:
        """The newest last, so that at no moment an older one is the newest."""
        for path in reversed(files):
            path.unlink(missing_ok=True)

    def _newest(self, stream: IO[str]) -> bytes | None:
        failure = None
        for path in self.files():
            try:
                content = vault_files.read_encrypted(path, self.key)
            # A header that is damaged in its salt looks as a wrong key does: the one before tells them apart.
            except (WrongKeyError, DamagedError, TruncatedError, NotAgeError) as error:
                failure = failure or type(error)(error.message, f"delete {self.folder} to start afresh")
                continue
            if failure:
                print(f"warning: {failure.message}; going on from the one before, {path.name}", file=stream, flush=True)
            return content
        if failure:
            raise failure
        return None

    def _require_same(self, identity: dict[str, Any]) -> None:
        here, there = ({key: part for key, part in of.items() if key != CODE} for of in (self.identity, identity))
        changed = list(_differences(there, here, ""))
        if changed:
            more = [f"and {len(changed) - MAX_NAMED} more"] if len(changed) > MAX_NAMED else []
            raise SpecError(
                f"the unfinished training in {self.folder} was started with other settings: "
                + "; ".join([*changed[:MAX_NAMED], *more]),
                self._start_afresh("undo the change to go on"),
            )

    def _start_afresh(self, other: str) -> str:
        return f"delete {self.folder} to start afresh, or {other}"


def _packed(groups: dict[str, list[Any]], state: TrainingState, identity: dict[str, Any]) -> io.BytesIO:
    about = json.dumps({**{name: getattr(state, name) for name in PLAIN}, "identity": identity}).encode()
    arrays = {
        f"{name}.{index:05d}": np.asarray(value)
        for name, values in groups.items()
        for index, value in enumerate(values)
    }
    plain = io.BytesIO()
    np.savez(plain, allow_pickle=False, about=np.frombuffer(about, np.uint8), **arrays)
    plain.seek(0)
    return plain


def _unpacked(about: dict[str, Any], arrays: Any, groups: tuple[str, ...]) -> TrainingState:
    state = TrainingState()
    # A checkpoint of an older version lacks what was added since.
    for name in PLAIN:
        setattr(state, name, about.get(name, getattr(state, name)))
    state.best_score = (state.best_score[0], state.best_score[1])
    for name in groups:
        setattr(state, name, _group(arrays, name))
    return state


def _group(arrays: Any, name: str) -> list[Any]:
    return [arrays[key] for key in sorted(arrays.files) if key.startswith(f"{name}.")]


def _differences(old: Any, new: Any, path: str) -> Iterator[str]:
    """`dotted.key: old, now new` for each leaf that differs; long values are left out."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            yield from _differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)
    elif old != new:
        short = all(len(str(value)) <= 40 and not isinstance(value, list | dict) for value in (old, new))
        yield f"{path}: {old}, now {new}" if short else path
