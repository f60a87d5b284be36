"""The words that a path of a spec may hold in place of a file or folder of the run."""

from __future__ import annotations

from enum import StrEnum


class Placeholder(StrEnum):
    """What a word stands for."""

    EVALMODEL = "EVALMODEL"
    """The final model."""
    PRUNEDMODEL = "PRUNEDMODEL"
    """The pruned model."""
    RESULTSDIR = "RESULTSDIR"
    """The results folder."""
    EXPORTDIR = "EXPORTDIR"
    """The export folder."""


MODELS = (Placeholder.EVALMODEL, Placeholder.PRUNEDMODEL)
FOLDERS = (Placeholder.RESULTSDIR, Placeholder.EXPORTDIR)


def split_placeholder(path: str) -> tuple[Placeholder, str] | None:
    """The placeholder at the start of a path, and what follows it; None where the path has none."""
    head, _, rest = path.partition("/")
    if head not in tuple(Placeholder) or (rest and head in MODELS):
        return None
    return Placeholder(head), rest
