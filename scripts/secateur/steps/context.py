"""What every step does around its own work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from secateur.run import Run
from secateur.storage.atomic import remove_leftovers, require_writable
from secateur.storage.locks import locked
from secateur.storage.status_log import StatusLog, reported

# Steps that keep checkpoints in the work folder. It can be the same for two results folders, so it has its own lock.
KEEPS_CHECKPOINTS = ("train", "prune", "retrain")


@contextmanager
def working(run: Run, step: str, folder: str = "", lock: str = "") -> Iterator[StatusLog]:
    """Hold a step's folders while the block runs: made, proven writable, locked, cleared of a dead process's leftovers.

    Args:
        run: whose step.
        step: its name in the status file.
        folder: below the results, where the step has another there than its name.
        lock: its name, where several jobs of a step may write into one folder.

    Yields:
        The status file, which is told of the start and of the real end.

    Raises:
        LockedError: another process works there.
        ArtifactError: a folder cannot be written.
    """
    folder = folder or step
    roots = [run.results, run.work] if step in KEEPS_CHECKPOINTS else [run.results]
    with ExitStack() as held:
        for root in roots:
            require_writable(root / folder)
            held.enter_context(locked(root / ".locks" / (lock or folder.replace("/", "-")), str(root / folder)))
            remove_leftovers(root / folder)
        yield held.enter_context(reported(run.status(step), run.devices))
