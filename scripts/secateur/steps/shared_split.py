"""Share one split between all experiments with the same images: the first examines them, the others copy its files."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from secateur.spec import Spec
from secateur.storage.atomic import atomic_file, read_json, sha256_of, write_json
from secateur.storage.locks import locked
from secateur.workflow.staleness import DIGITS_INDEX, Contents, is_digits, places_of_split, step_params

USERS = "users.json"


@contextmanager
def shared_split(spec: Spec, folder: Path, work: Path) -> Iterator[str]:
    """Copy the split of another experiment to `folder`, or share the split that the block makes in `folder`.

    If the same experiment asks a second time, its user wants the images to be examined again.

    Args:
        spec: the spec that names the images.
        folder: of the split.
        work: root of the work folders; it holds the shared splits.

    Yields:
        The folder of the experiment whose split was copied; empty if the block must make the split.
    """
    kept = work / "cache" / "splits" / _digest(spec, work)
    with locked(kept.with_name(f".{kept.name}.lock"), str(kept), wait=True):
        users = read_json(kept / USERS) if (kept / USERS).exists() else []
        if users and str(folder) not in users:
            _copy_all(kept, folder)
            write_json(kept / USERS, [*users, str(folder)])
            yield str(users[0])
            return
        shutil.rmtree(kept, ignore_errors=True)
        yield ""
        _copy_all(folder, kept)
        write_json(kept / USERS, [str(folder)])


def _digest(spec: Spec, work: Path) -> str:
    """The digest of all that decides a split: the section, the content of the images, the code."""
    made_here = [DIGITS_INDEX] if any(is_digits(place) for place in places_of_split(spec)) else []
    parts = [step_params(spec, "split", Contents(work)), [sha256_of(file) for file in made_here]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _copy_all(origin: Path, folder: Path) -> None:
    """Copy the files of a split, and no others. Links would let an edit in one experiment change the others."""
    names = _visible(origin) - {USERS}
    for name in sorted(names):
        with atomic_file(folder / name) as copy, open(origin / name, "rb") as original:
            shutil.copyfileobj(original, copy)
    for name in _visible(folder) - names:
        (folder / name).unlink()


def _visible(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")}
