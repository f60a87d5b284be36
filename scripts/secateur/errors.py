"""Errors for the user, each with an exit code and a hint about what to do.

See docs/decisions/signals-and-exit-codes.md.
"""

from __future__ import annotations

from collections.abc import Sequence


def names_of(names: Sequence[object], most: int, separator: str = ", ") -> str:
    """Names for a message: all, or the first `most` of them and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return separator.join(map(str, names[:most])) + more


class SecateurError(Exception):
    """A failure that the user can correct.

    Args:
        message: what is wrong, with the path or key and the value.
        hint: one action that corrects it; empty if there is none.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        # Both arguments are passed on: an exception from another process is rebuilt from them.
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class SpecError(SecateurError):
    """The spec file cannot be read, or holds a key or a value that is not allowed."""

    exit_code = 2


class DataError(SecateurError):
    """Images, class folders, a manifest or a class map cannot be used."""

    exit_code = 3


class VaultError(SecateurError):
    """An encryption key or an encrypted file cannot be used."""

    exit_code = 4


class WrongKeyError(VaultError):
    """The file was encrypted with another key; no damage was found."""


class TruncatedError(VaultError):
    """The encrypted file ends too early."""


class DamagedError(VaultError):
    """The encrypted file was changed after it was written."""


class NotAgeError(VaultError):
    """The file is not an age v1 file."""


class NvidiaContainerError(VaultError):
    """The file is in the closed container of NVIDIA TAO."""


class UntrustedModelError(SecateurError):
    """A model file holds something that must not be loaded."""

    exit_code = 5


class ModelError(SecateurError):
    """A model or graph cannot be processed."""

    exit_code = 6


class ArtifactError(SecateurError):
    """A file cannot be read or written."""

    exit_code = 74


class LockedError(SecateurError):
    """Another process uses the same files; run the same command again later."""

    exit_code = 75


class InterruptedRunError(SecateurError):
    """A signal stopped the run; it can be resumed."""

    exit_code = 75


def format_error(error: SecateurError) -> str:
    """The text for a terminal: the error, and the hint on the next line."""
    hint = f"\nhint: {error.hint}" if error.hint else ""
    return f"error: {error.message}{hint}"
