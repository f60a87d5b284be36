"""The words that a path in a spec can use for a file or folder of the run."""

from __future__ import annotations

from enum import StrEnum


class Placeholder(StrEnum):
    """The meaning of a word."""

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
    """The placeholder at the start of a path and the rest of the path; None if there is no placeholder."""
    head, _, rest = path.partition("/")
    if head not in tuple(Placeholder) or (rest and head in MODELS):
        return None
    return Placeholder(head), rest
