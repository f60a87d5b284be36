"""secateur: from labelled images to a small, fast, encrypted classifier for an edge device."""

__version__ = "0.1.0"
