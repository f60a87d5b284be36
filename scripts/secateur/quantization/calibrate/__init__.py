"""The documented name of `secateur.quantization.calibration`, for programs that import it."""

from secateur.quantization.calibration import measured_ranges

__all__ = ["measured_ranges"]
