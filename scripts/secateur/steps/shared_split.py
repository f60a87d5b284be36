"""One split for all experiments with the same images: the first examines them, the others take over its files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from secateur.data.filesystem import is_file_source
from secateur.data.listing import listing_digest
from secateur.spec import Spec
from secateur.storage.atomic import atomic_file, read_json, sha256_of, write_json
from secateur.storage.locks import locked
from secateur.workflow.staleness import DIGITS_INDEX, code_digest, image_roots, is_digits, section_params

USERS = "users.json"


@contextmanager
def shared_split(spec: Spec, folder: Path, shared: Path) -> Iterator[str]:
    """Take over the split of another experiment, or offer what the block makes in `folder` to the ones to come.

    An experiment that took part before and comes again does so since somebody wants the images examined anew.

    Args:
        spec: whose images.
        folder: of the split.
        shared: where splits are kept, for all experiments.

    Yields:
        The folder of the experiment whose split now stands in `folder`; empty when the block must make it.
    """
    kept = shared / _digest(spec)
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


def _digest(spec: Spec) -> str:
    """Of all that decides a split: the section, the listing of the images, tables and archives, the code."""
    folders = [root for root in image_roots(spec) if not is_digits(root)]
    files = [root for root in image_roots(spec) if is_file_source(root) and os.path.isfile(root)]
    files += [DIGITS_INDEX] if any(is_digits(root) for root in image_roots(spec)) else []
    parts = [
        section_params(spec, "split"),
        code_digest("split"),
        [sha256_of(file) for file in files],
        listing_digest(folders, times=True),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _copy_all(source: Path, folder: Path) -> None:
    """The files of a split, and no others. No links: who edits one experiment's table does not mean the others'."""
    names = _visible(source) - {USERS}
    for name in sorted(names):
        with atomic_file(folder / name) as copy, open(source / name, "rb") as original:
            shutil.copyfileobj(original, copy)
    for name in _visible(folder) - names:
        (folder / name).unlink()


def _visible(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")}
