"""Share one split between all experiments with the same images: the first examines them, the others copy its files."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, Field

from secateur.spec import Spec
from secateur.step_table import STEPS
from secateur.storage.atomic import atomic_file, sha256_of, write_json
from secateur.storage.locks import locked
from secateur.storage.regular_files import open_regular, read_regular
from secateur.workflow.staleness import DIGITS_INDEX, Contents, is_digits, places_of_split, step_params

# What is known of a shared split: the folders of its users, and the digests of its files.
RECORD = "users.json"
# Not an output of the rule: Snakemake removes the outputs of a failed job.
UNREADABLE = "unreadable.csv"
# All files that the step writes. Nothing else is copied, and nothing else is removed.
WRITTEN = (*STEPS["split"].files.values(), UNREADABLE)


@contextmanager
def shared_split(spec: Spec, folder: Path, work: Path, stream: IO[str]) -> Iterator[str]:
    """Copy the split of another experiment to `folder`, or share the split that the block makes in `folder`.

    If the same experiment asks a second time, its user wants the images to be examined again.

    Args:
        spec: the spec that names the images.
        folder: of the split.
        work: root of the work folders; it holds the shared splits.
        stream: receives a message if a shared split is damaged; the block then makes it again.

    Yields:
        The folder of the experiment whose split was copied; empty if the block must make the split.
    """
    kept = work / "cache" / "splits" / _digest(spec, work)
    with locked(kept.with_name(f".{kept.name}.lock"), str(kept), wait=True):
        known = _record(kept, stream)
        if known and str(folder) not in known.users:
            _copy(kept, folder, known.files)
            _write_record(kept, [*known.users, str(folder)])
            yield known.users[0]
            return
        for name in (*WRITTEN, RECORD):
            (kept / name).unlink(missing_ok=True)
        yield ""
        _copy(folder, kept, _present(folder))
        _write_record(kept, [str(folder)])


class _Record(BaseModel):
    """What is known of a shared split."""

    model_config = ConfigDict(strict=True, extra="forbid")
    users: list[str] = Field(min_length=1)
    files: dict[str, str]


def _record(kept: Path, stream: IO[str]) -> _Record | None:
    """The record of a shared split; None if there is none, or if it is damaged."""
    if not (kept / RECORD).exists():
        return None
    try:
        known = _Record.model_validate_json(read_regular(kept / RECORD))
        if known.files == _digests(kept) and STEPS["split"].files["manifest"] in known.files:
            return known
    except (OSError, ValueError):
        pass
    print(f"split  warning: the shared split in {kept} is damaged; the images are examined again", file=stream)
    return None


def _write_record(kept: Path, users: list[str]) -> None:
    write_json(kept / RECORD, {"users": users, "files": _digests(kept)})


def _digests(folder: Path) -> dict[str, str]:
    return {name: sha256_of(folder / name) for name in _present(folder)}


def _present(folder: Path) -> list[str]:
    return [name for name in sorted(WRITTEN) if (folder / name).is_file()]


def _digest(spec: Spec, work: Path) -> str:
    """The digest of all that decides a split: the section, the content of the images, the code."""
    made_here = [DIGITS_INDEX] if any(is_digits(place) for place in places_of_split(spec)) else []
    parts = [step_params(spec, "split", Contents(work)), [sha256_of(file) for file in made_here]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _copy(origin: Path, folder: Path, names: Iterable[str]) -> None:
    """Copy the files of a split. Links would let an edit in one experiment change the others.

    Of the files in the target folder only those are removed that the step writes and that this split does not have.
    """
    for name in names:
        with atomic_file(folder / name) as copy, open_regular(origin / name) as original:
            shutil.copyfileobj(original, copy)
    for name in set(WRITTEN) - set(names):
        (folder / name).unlink(missing_ok=True)
