"""The largest memory that a process holds, of that process alone.

`ru_maxrss` survives `exec`: a process that a large one starts has the maximum of its parent, and a maximum once
reached hides every later one. Linux forgets VmHWM when 5 is written to clear_refs, and `exec` starts it again.
"""

from __future__ import annotations

from pathlib import Path


def peak_kb() -> int:
    """Largest resident memory in kB of this process since it started or since the last `Growth` began."""
    return _status("VmHWM")


class Growth:
    """`with Growth() as memory: ...`, then `memory.kb`: how far the largest resident memory went above the start."""

    def __enter__(self) -> Growth:
        Path("/proc/self/clear_refs").write_text("5")
        self._before = _status("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        self.kb = max(peak_kb() - self._before, 0)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))
