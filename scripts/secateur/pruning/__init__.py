"""Structured pruning of any flat Keras graph."""

from secateur.pruning.prune import prune
from secateur.pruning.report import Group, PruneReport

__all__ = ["Group", "PruneReport", "prune"]
