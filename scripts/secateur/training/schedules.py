"""The learning-rate schedules of the specification, as functions of progress.

See docs/decisions/learning-rate-schedules.md.
"""

from __future__ import annotations

import math

from secateur.spec import LrConfig

SOFT_ANNEAL_START = 3e-4  # TAO's first rate of soft_anneal; only with compat: tao it can be above the base rate
# Progress is a quotient of whole numbers: 3/10 must count as three drops of 10 % in spite of rounding.
ROUNDING = 1e-9


def learning_rate(lr_config: LrConfig, progress: float, devices: int = 1) -> float:
    """The rate for the batch that starts at `progress`.

    Args:
        lr_config: the spec's section.
        progress: finished batches divided by all batches, 0 to 1.
        devices: number of devices; the base rate is multiplied by it.

    Raises:
        ValueError: progress outside 0 to 1.
    """
    if not 0 <= progress <= 1:
        raise ValueError(f"progress must be 0 to 1, not {progress}")
    base = lr_config.learning_rate * devices
    return {"step": _step, "soft_anneal": _soft_anneal, "cosine": _cosine}[lr_config.scheduler](
        lr_config, base, progress
    )


def _step(config: LrConfig, base: float, progress: float) -> float:
    """A staircase with one drop every `step_size` percent; TAO's code falls a little at each batch instead."""
    drops = progress * 100 / config.step_size
    return float(base * config.gamma ** (drops if config.compat == "tao" else math.floor(drops + ROUNDING)))


def _soft_anneal(config: LrConfig, base: float, progress: float) -> float:
    start = SOFT_ANNEAL_START if config.compat == "tao" else min(SOFT_ANNEAL_START, base)
    if progress < config.soft_start:
        return start + (base - start) * progress / config.soft_start
    drops = sum(progress > point for point in config.annealing_points)
    return float(base / config.annealing_divider**drops)


def _cosine(config: LrConfig, base: float, progress: float) -> float:
    """A warm-up, then half a cosine that ends at `min_lr_ratio` of the base rate.

    TAO's code does not divide the phase by the part after the warm-up, so that its last rate is higher.
    """
    least = base * config.min_lr_ratio
    if progress < config.soft_start:
        return least + (base - least) * progress / config.soft_start
    after = progress - config.soft_start
    phase = after if config.compat == "tao" else after / (1 - config.soft_start) if config.soft_start < 1 else 0.0
    return least + (base - least) * (1 + math.cos(math.pi * phase)) / 2
