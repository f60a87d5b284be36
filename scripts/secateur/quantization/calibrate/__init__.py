"""The documented name of `secateur.quantization.calibration`, for other programs."""

from secateur.quantization.calibration import measured_ranges

__all__ = ["measured_ranges"]
