"""Structured pruning of any flat Keras graph."""

from secateur.pruning.prune_report import Group, PruneReport
from secateur.pruning.pruner import prune

__all__ = ["Group", "PruneReport", "prune"]
