"""Encrypted files: age v1 with a passphrase."""

from secateur.vault.age import open, seal

__all__ = ["open", "seal"]
