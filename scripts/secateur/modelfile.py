"""The documented name of `secateur.models.file`, for other programs."""

from secateur.models.file import load_model, save_model

__all__ = ["load_model", "save_model"]
