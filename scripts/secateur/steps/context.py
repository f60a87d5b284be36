"""What every step does around its own work."""

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
    """Hold a step's folders while the block runs: made, proven writable, locked, cleared of a dead process's leftovers.

    Args:
        run: whose step.
        step: its name.
        lock: name of the lock, for steps that write into one folder at the same time.
        stage: of `evaluate`.

    Yields:
        The status file, which is told of the start and of the real end.

    Raises:
        LockedError: another process works there.
        ArtifactError: a folder cannot be written.
    """
    entry = STEPS[step]
    folder = entry.folder.format(stage=stage) or "."
    # The work folder can be the same for two results folders, so it has its own lock.
    roots = [run.results, run.work] if entry.checkpoints else [run.results]
    with ExitStack() as held:
        for root in roots:
            require_writable(root / folder)
            held.enter_context(locked(root / ".locks" / (lock or folder.replace("/", "-")), str(root / folder)))
            remove_leftovers(root / folder)
        yield held.enter_context(reported(run.status(step), run.devices))
