"""Numbers in a form for people."""

from __future__ import annotations


def decimal_bytes(count: float) -> str:
    """A number of bytes as `1.3 MB`, in powers of 1000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def short(count: float) -> str:
    """A number as `27.8 M`: three digits and a unit."""
    for unit in ("", " k", " M", " G", " T"):
        if abs(count) < 1000 or unit == " T":
            return f"{count:.3g}{unit}" if unit else f"{count:,.0f}"
        count /= 1000
    raise AssertionError


def points(difference: float) -> str:
    """A difference of two shares in percentage points, with its sign: `+0.3 points`."""
    return f"{100 * difference:+.1f} points"


def counted(number: int, thing: str) -> str:
    """A number and its noun: `1 sweep`, `2 sweeps`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
