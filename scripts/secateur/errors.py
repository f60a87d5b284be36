"""Errors that a user is meant to read, each with its exit code and one thing to do.

See docs/decisions/signals-and-exit-codes.md.
"""

from __future__ import annotations


class SecateurError(Exception):
    """A failure with a cause in the user's hands.

    Args:
        message: what is wrong, with the path or key and the value.
        hint: one action that mends it; empty when there is none.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        # Both: an error of another process comes back by its arguments.
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class SpecError(SecateurError):
    """The spec file cannot be read, or says something that is not allowed."""

    exit_code = 2


class DataError(SecateurError):
    """Images, class folders, manifests or class maps that cannot be used."""

    exit_code = 3


class VaultError(SecateurError):
    """An encryption key or an encrypted file that cannot be used."""

    exit_code = 4


class WrongKeyError(VaultError):
    """The file is sound as far as can be told, but was sealed with another key."""


class TruncatedError(VaultError):
    """The encrypted file ends too early."""


class DamagedError(VaultError):
    """The encrypted file was changed after it was written."""


class NotAgeError(VaultError):
    """The file is not an age v1 file."""


class NvidiaContainerError(VaultError):
    """The file is in the closed container of NVIDIA TAO."""


class UntrustedModelError(SecateurError):
    """A model file that holds something that must not be loaded."""

    exit_code = 5


class ModelError(SecateurError):
    """A model or graph that cannot be processed."""

    exit_code = 6


class ArtifactError(SecateurError):
    """A file that cannot be read or written."""

    exit_code = 74


class LockedError(SecateurError):
    """Another process works on the same files; the same command may be given again later."""

    exit_code = 75


class InterruptedRunError(SecateurError):
    """The run was told to stop and can be resumed."""

    exit_code = 75


def format_error(error: SecateurError) -> str:
    """Two parts for a terminal: what is wrong, and one thing to do."""
    hint = f"\nhint: {error.hint}" if error.hint else ""
    return f"error: {error.message}{hint}"
