"""The script of the bundle that labels images: a copy of `predict.py`."""

from __future__ import annotations

from pathlib import Path


def predict_script() -> bytes:
    """The content of the script, which needs onnxruntime, numpy and Pillow and nothing of secateur."""
    return Path(__file__).with_name("predict.py").read_bytes()
