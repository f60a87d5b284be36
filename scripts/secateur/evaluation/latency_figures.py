"""What pages say of measured latency: the figure that is compared, and a busy machine. Files of older versions too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

BUSY = "measured on a busy machine"


def figure_ms(case: Mapping[str, Any]) -> float:
    """The milliseconds of a case of `latency.json` that are compared; older files have only the median by the clock."""
    return float(case["p50_ms"] if case.get("p10_ms") is None else case["p10_ms"])


def is_busy(case: Mapping[str, Any]) -> bool:
    """Whether a case was measured on a busy machine; older files do not say it."""
    return bool(case.get("busy"))


def remark(case: Mapping[str, Any]) -> str:
    """What follows a figure in a sentence: nothing, or that the machine was busy."""
    return f" ({BUSY})" if is_busy(case) else ""


def caution(cases: Sequence[Mapping[str, Any]]) -> str:
    """A paragraph about the cases that were measured on a busy machine; empty if there are none."""
    busy = [case for case in cases if is_busy(case)]
    if not busy:
        return ""
    waiting = max(float(case.get("waiting") or 0) for case in busy)
    return (
        f"{BUSY.capitalize()}: {len(busy)} of {len(cases)} rows, although each was measured up to "
        f"{max(int(case.get('attempts') or 1) for case in busy)} times; work waited for a processor in up to "
        f"{waiting:.0%} of the time. For better figures run the step `latency` again on a quiet machine."
    )
