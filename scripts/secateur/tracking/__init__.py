"""Training curves for MLflow, Weights & Biases and ClearML, if a spec has their section."""

from secateur.tracking.trackers import Trackers, tracked

__all__ = ["Trackers", "tracked"]
