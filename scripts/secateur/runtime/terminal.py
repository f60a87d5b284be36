"""Text for terminals and logs. Names in files of strangers can hold sequences that move the cursor or forge lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# They change the order in which the letters of a line are shown (Unicode Standard Annex 9).
DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *map(ord, DIRECTIONS))
# A name that is not valid UTF-8 has lone surrogates, which no terminal can show.
SURROGATES = range(0xD800, 0xE000)
IN_A_LINE = {code: ascii(chr(code))[1:-1] for code in (*CONTROLS, *SURROGATES)}
IN_A_TEXT = {code: shown for code, shown in IN_A_LINE.items() if chr(code) not in "\n\t"}
# A progress bar writes these, and lines that begin with a carriage return.
MOVES = ("\x1b[A", "\x1b[B", "\r")


def one_line(text: str) -> str:
    """The text without control characters, line breaks included: they become `\\x1b`, `\\n` and so on."""
    return text.translate(IN_A_LINE)


def printable(text: str) -> str:
    """The text without control characters, except line breaks and tabs."""
    return text.translate(IN_A_TEXT)


def redraws(text: str) -> bool:
    """Whether a progress bar writes this, to draw its line again."""
    return text in MOVES or (text.startswith("\r") and "\n" not in text)


class Printable:
    """A text stream that shows control characters instead of sending them, except those of progress bars."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write the text; returns its length."""
        self.stream.write(text if redraws(text) else printable(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def drawing_output() -> Any:
    """The standard output for a program that draws with control characters itself. Its texts must be `one_line`."""
    return sys.stdout.stream if isinstance(sys.stdout, Printable) else sys.stdout


@contextmanager
def printable_output() -> Iterator[None]:
    """While the block runs, what this process prints has no control characters.

    Letters that the terminal does not have are shown as `\\u732b`, as Python does in error messages.
    """
    before = sys.stdout, sys.stderr
    strict = [stream for stream in before if getattr(stream, "errors", None) == "strict"]
    for stream in strict:
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.stdout, sys.stderr = Printable(before[0]), Printable(before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in strict:
            stream.reconfigure(errors="strict")  # type: ignore[union-attr]
