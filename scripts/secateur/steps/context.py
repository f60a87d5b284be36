"""The preparation and the end of every step: folders, locks and status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from secateur.run import Run
from secateur.step_table import STEPS
from secateur.storage.atomic import remove_leftovers, require_writable
from secateur.storage.locks import locked
from secateur.storage.status_log import StatusLog, reported


@contextmanager
def step_context(run: Run, step: str, lock: str = "", stage: str = "") -> Iterator[StatusLog]:
    """Hold the folders of a step while the block runs.

    The folders are created, tested for writing and locked, and temporary files of dead processes are removed.

    Args:
        run: the run of the step.
        step: its name.
        lock: name of the lock, for steps that write into one folder at the same time.
        stage: of `evaluate`.

    Yields:
        The status file. The block's start and its real end are written to it.

    Raises:
        LockedError: another process works there.
        ArtifactError: a folder cannot be written, or belongs to another user.
    """
    entry = STEPS[step]
    folder = entry.folder.format(stage=stage) or "."
    # Two results folders can have the same work folder, so it has its own lock.
    roots = [run.results, run.work] if entry.checkpoints else [run.results]
    with ExitStack() as held:
        for root in roots:
            require_writable(root, ours=True)
            require_writable(root / folder, ours=True)
            held.enter_context(locked(root / ".locks" / (lock or folder.replace("/", "-")), str(root / folder)))
            remove_leftovers(root / folder)
        yield held.enter_context(reported(run.status(step), run.devices))
