"""Checkpoints: encrypted files with everything that a training needs to resume with bit-identical results.

See docs/decisions/checkpoints.md.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from pydantic import BaseModel, Field

from secateur.errors import DamagedError, NotAgeError, SpecError, TruncatedError, WrongKeyError, names_of
from secateur.storage.atomic import atomic_file
from secateur.vault import files as vault_files

# The checkpoint before the last is kept in case the last is damaged.
KEPT = 2
FINISHED = "finished.age"
# Part of the identity that may change while a training is unfinished: the work done so far is more important.
CODE = "code"
# Maximal number of changes that an error lists.
MAX_NAMED = 5
_named = partial(names_of, most=MAX_NAMED, separator="; ")


@dataclass
class TrainingState:
    """The state of a training.

    Attributes:
        epoch: number of finished epochs, validation included.
        batch: number of finished batches of the next epoch.
        metrics: values of the metrics' variables after these batches.
        logs: loss and accuracy over these batches.
        history: one row per epoch.
        best_epoch: epoch of the best validation accuracy, from 1; 0 before the first validation.
        best_score: (validation accuracy, minus validation loss) of that epoch.
        best_weights: the model's weights after that epoch.
        last_weights: the weights after the last epoch, when it is finished.
        variables: of the model and its optimizer after the last epoch, when it is finished.
        restart: the finished epochs before the schedule began again; 0 if it never did.
        seconds: of training and validation so far, including processes that were stopped.
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
    variables: list[Any] = field(default_factory=list)
    restart: int = 0
    seconds: float = 0.0


class _About(BaseModel):
    """The plain part of a checkpoint. One of an older version does not have newer fields."""

    identity: dict[str, Any]
    epoch: int = Field(0, ge=0)
    batch: int = Field(0, ge=0)
    # Whole numbers stay whole: history.csv has them as they were written.
    logs: dict[str, int | float] = Field({})
    history: list[dict[str, int | float | None]] = Field([])
    best_epoch: int = Field(0, ge=0)
    best_score: tuple[float, float] = (-1.0, 0.0)
    restart: int = Field(0, ge=0)
    seconds: float = 0.0


Arrays = dict[str, Any]
NAME = re.compile(r"checkpoint_\d{6,}\.age")
DIGEST_BYTES = hashlib.sha256().digest_size
PLAIN = ("epoch", "batch", "logs", "history", "best_epoch", "best_score", "restart", "seconds")
# How an identity that differs in the number of epochs only is described.
OTHER_EPOCHS = re.compile(r"\w+\.num_epochs: (\d+), now (\d+)")


@dataclass(frozen=True)
class Stored:
    """A file of a training: a checkpoint, or the result of a finished one.

    Attributes:
        about: what it says of the training.
        arrays: its arrays by name.
        path: the file.
        epochs: None for the same training; the number of its epochs if that is all that differs.
    """

    about: _About
    arrays: Arrays
    path: Path
    epochs: int | None = None

    @property
    def state(self) -> TrainingState:
        """The state at its end, with all arrays."""
        return _unpacked(self.about, self.arrays, ("metrics", "best_weights", "last_weights", "variables"))


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: for the checkpoints only.
        key: their passphrase; None for files that are not encrypted.
        identity: plain data by name that must be the same in a run that resumes: sections, class map, digests.
        writes: false in the processes of other hosts, which only read.
    """

    def __init__(
        self, folder: Path, key: str | None, identity: dict[str, Any] | None = None, writes: bool = True
    ) -> None:
        self.folder, self.key, self.writes = folder, key, writes
        # In the form that JSON gives back: tuples become lists.
        self.identity = json.loads(json.dumps(identity or {}))

    def files(self) -> list[Path]:
        """The existing checkpoints, newest first."""
        return sorted(
            (path for path in self.folder.glob("checkpoint_*.age") if NAME.fullmatch(path.name)), reverse=True
        )

    def write(self, variables: list[Any], state: TrainingState) -> None:
        """Write the state and all variables that training changes as one encrypted file; then remove the oldest file.

        Raises:
            ArtifactError: the file cannot be written; the earlier checkpoints still exist.
        """
        if not self.writes:
            return
        before = self.files()
        number = int(before[0].stem.partition("_")[2]) + 1 if before else 1
        groups = {"variables": variables, "metrics": state.metrics, "best_weights": state.best_weights}
        plain = _packed(groups, state, self.identity)
        with atomic_file(self.folder / f"checkpoint_{number:06d}.age", plain.getbuffer().nbytes) as target:
            self._write(plain, target)
        for old in self.files()[KEPT:]:
            old.unlink(missing_ok=True)

    def read(self, variables: list[Any], stream: IO[str]) -> TrainingState:
        """Restore variables and state from the newest undamaged checkpoint. Without a checkpoint, returns a new state.

        Args:
            variables: of the model and its optimizer, in the order in which they were written.
            stream: receives a message about a damaged checkpoint.

        Raises:
            SpecError: the checkpoint belongs to another spec, class map or data; the message names the changes.
            VaultError: no checkpoint can be decrypted.
        """
        stored = self.load(stream)
        return TrainingState() if stored is None else self.restore(stored, variables)

    def load(self, stream: IO[str]) -> Stored | None:
        """The newest undamaged checkpoint, if there is one. Arguments and errors as in `read`."""
        found = self._newest(stream)
        if found is not None:
            self._require_same(found.about.identity)
        return found

    def restore(self, stored: Stored, variables: list[Any]) -> TrainingState:
        """Set the variables to those of a checkpoint or a result; its state. Errors as in `read`."""
        values = _group(stored.arrays, "variables")
        if [array.shape for array in values] != [tuple(variable.shape) for variable in variables]:
            raise SpecError(f"the training in {self.folder} has another network", self._start_afresh("undo the change"))
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return _unpacked(stored.about, stored.arrays, ("metrics", "best_weights"))

    def finish(self, state: TrainingState) -> None:
        """Replace the checkpoints by the result.

        It serves a process that is killed before the step ends, and a later training of more epochs.
        """
        if not self.writes:
            return
        # The last weights are among the variables.
        last = [] if state.variables else state.last_weights
        groups = {"best_weights": state.best_weights, "last_weights": last, "variables": state.variables}
        plain = _packed(groups, state, self.identity)
        with atomic_file(self.folder / FINISHED, plain.getbuffer().nbytes) as target:
            self._write(plain, target)
        self._drop(self.files())

    def finished(self, stream: IO[str]) -> Stored | None:
        """The result of this training, or of the same with another number of epochs. Any other result is removed.

        Args:
            stream: receives the reason if more epochs are asked, but other settings changed too.
        """
        path = self.folder / FINISHED
        if not path.exists():
            return None
        try:
            about, arrays = self._loaded(path)
        except (WrongKeyError, DamagedError, TruncatedError, NotAgeError):
            self._remove(path)
            return None
        changes = list(_differences(about.identity, self.identity, ""))
        epochs = next((int(found[1]) for change in changes if (found := OTHER_EPOCHS.fullmatch(change))), None)
        if len(changes) == (epochs is not None):
            return Stored(about, arrays, path, epochs)
        if epochs is not None:
            others = [change for change in changes if not OTHER_EPOCHS.fullmatch(change)]
            words = f"{path}: its {epochs} epochs are not used, since other settings changed too: {_named(others)}"
            print(f"warning: {words}", file=stream, flush=True)
        self._remove(path)
        return None

    def _remove(self, path: Path) -> None:
        if self.writes:
            path.unlink()

    def forget(self) -> None:
        """Remove all files, the result too."""
        self._drop([*self.files(), self.folder / FINISHED])

    def _write(self, plain: io.BytesIO, target: IO[bytes]) -> None:
        """Encrypt the content. Without a key its digest is before it, since damage must be noticed."""
        if self.key is None:
            target.write(hashlib.sha256(plain.getbuffer()).digest())
        vault_files.write_content(plain, target, self.key)

    def _loaded(self, path: Path) -> tuple[_About, Arrays]:
        """What is known of a training, and its arrays. Raises a VaultError for a file that is no checkpoint."""
        try:
            return _loaded(self._content(path))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise DamagedError(f"{path}: it is not a checkpoint") from error

    def _content(self, path: Path) -> bytes:
        content = vault_files.read_content(path, self.key)
        if self.key is not None:
            return content
        digest, plain = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        if hashlib.sha256(plain).digest() != digest:
            raise DamagedError(f"{path}: the file was changed after it was written")
        return plain

    def _drop(self, files: list[Path]) -> None:
        """Remove files, the newest last, so that an older file never becomes the newest."""
        for path in reversed(files):
            path.unlink(missing_ok=True)

    def _newest(self, stream: IO[str]) -> Stored | None:
        failure = None
        for path in self.files():
            try:
                found = Stored(*self._loaded(path), path)
            # Damage in the salt of a header looks like a wrong key; the checkpoint before shows which of the two it is.
            except (WrongKeyError, DamagedError, TruncatedError, NotAgeError) as error:
                failure = failure or type(error)(error.message, f"delete {self.folder} to start again")
                continue
            if failure:
                print(
                    f"warning: {failure.message}; resuming from the checkpoint before, {path.name}",
                    file=stream,
                    flush=True,
                )
            return found
        if failure:
            raise failure
        return None

    def _require_same(self, identity: dict[str, Any]) -> None:
        here, there = ({key: part for key, part in of.items() if key != CODE} for of in (self.identity, identity))
        changed = list(_differences(there, here, ""))
        if changed:
            raise SpecError(
                f"the unfinished training in {self.folder} was started with other settings: {_named(changed)}",
                self._start_afresh("undo the change to resume"),
            )

    def _start_afresh(self, other: str) -> str:
        return f"delete {self.folder} to start again, or {other}"


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


def _loaded(content: bytes) -> tuple[_About, Arrays]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # Arrays are stored as they are: a few compressed bytes can stand for gigabytes.
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("compressed")
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return _About.model_validate_json(arrays.pop("about").tobytes()), arrays


def _unpacked(about: _About, arrays: Arrays, groups: tuple[str, ...]) -> TrainingState:
    state = TrainingState(**{name: getattr(about, name) for name in PLAIN})
    for name in groups:
        setattr(state, name, _group(arrays, name))
    return state


def _group(arrays: Arrays, name: str) -> list[Any]:
    return [arrays[key] for key in sorted(arrays) if key.startswith(f"{name}.")]


def _differences(old: Any, new: Any, path: str) -> Iterator[str]:
    """`dotted.key: old, now new` for each leaf that differs; long values are left out."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            yield from _differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)
    elif old != new:
        short = all(len(str(value)) <= 40 and not isinstance(value, list | dict) for value in (old, new))
        yield f"{path}: {old}, now {new}" if short else path
