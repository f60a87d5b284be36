"""A limit on the memory that all threads of a process use for large images at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class MemoryBudget:
    """Threads wait until their bytes fit. One thread is always admitted, however much it needs.

    Args:
        total: bytes for all threads together.
        small: bytes below which a thread neither waits nor counts.
    """

    def __init__(self, total: int, small: int) -> None:
        self.total, self.small = total, small
        self.used = 0
        self.changed = Condition()

    @contextmanager
    def reserved(self, size_bytes: int) -> Iterator[None]:
        """Hold `size_bytes` while the block runs."""
        if size_bytes <= self.small:
            yield
            return
        with self.changed:
            self.changed.wait_for(lambda: not self.used or self.used + size_bytes <= self.total)
            self.used += size_bytes
        try:
            yield
        finally:
            with self.changed:
                self.used -= size_bytes
                self.changed.notify_all()
