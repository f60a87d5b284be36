"""A tracker's own process: `python -m secateur.tracking.process NAME`, started by a training.

It reads JSON lines: what to begin with, then epochs, at last how the training ended. When that line is missing, the
training was killed. Lines for people go to standard output, all else to the tracker's log.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any

from secateur.tracking.services import SERVICES, Service, Start

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


def main() -> None:
    """Follow one training."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    name = sys.argv[1]
    people = os.dup(1)
    # Trackers talk a lot; what a person needs is said by us.
    os.dup2(2, 1)
    try:
        _follow(name, sys.stdin, people)
    except Exception as error:
        traceback.print_exc()
        first = str(error).strip().splitlines()[:1] or [type(error).__name__]
        _say(people, f"warning: {name}: {first[0]}; the training goes on without it")
        sys.exit(1)


def _follow(name: str, lines: IO[str], people: int) -> None:
    messages = map(json.loads, lines)
    service = SERVICES[name](Start(**next(messages)))
    _say(people, f"{name}: {service.where}")
    last = _epochs(service, messages)
    service.end(last.get("state", "failed"), last.get("summary", {}))


def _say(people: int, text: str) -> None:
    """Nobody listens any more where the training was killed."""
    with suppress(BrokenPipeError):
        os.write(people, f"{text}\n".encode())


def _epochs(service: Service, messages: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Tell the service of each; returns the message that is none."""
    for message in messages:
        if "epoch" not in message:
            return message
        service.epoch(message["epoch"], message["values"], message["time"])
    return {}


if __name__ == "__main__":
    main()
