"""The process of a tracker: `python -m secateur.tracking.process NAME`, started by a training.

It reads JSON lines: first the start data, then epochs, at last the end of the training. If the last line is missing,
the training was killed. Messages for people go to standard output, everything else to the tracker's log.
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
    # Trackers print a lot; this process prints the messages that a person needs.
    os.dup2(2, 1)
    try:
        _follow(name, sys.stdin, people)
    except Exception as error:
        traceback.print_exc()
        first = str(error).strip().splitlines()[:1] or [type(error).__name__]
        _say(people, f"warning: {name}: {first[0]}; the training continues without it")
        sys.exit(1)


def _follow(name: str, lines: IO[str], people: int) -> None:
    messages = map(json.loads, lines)
    service = SERVICES[name](Start(**next(messages)))
    _say(people, f"{name}: {service.where}")
    last = _epochs(service, messages)
    service.end(last.get("state", "failed"), last.get("summary", {}))


def _say(people: int, text: str) -> None:
    """Print a message. If the training was killed, nobody reads it."""
    with suppress(BrokenPipeError):
        os.write(people, f"{text}\n".encode())


def _epochs(service: Service, messages: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Send the messages about epochs to the service. Returns the first other message."""
    for message in messages:
        if "epoch" not in message:
            return message
        service.epoch(message["epoch"], message["values"], message["time"])
    return {}


if __name__ == "__main__":
    main()
