"""The encryption key: found where the spec says, and kept out of everything that is written."""

from __future__ import annotations

import os
from pathlib import Path

from secateur.errors import VaultError
from secateur.spec import Spec


def key_of(spec: Spec) -> str:
    """The pass phrase of a spec.

    Raises:
        VaultError: the spec has no key, or it names a variable or file that holds none.
    """
    if spec.key is None or not spec.key.get_secret_value():
        raise VaultError("the spec has no key", "add `key: env:SECATEUR_KEY` and set that variable")
    return resolve_key(spec.key.get_secret_value())


def resolve_key(text: str) -> str:
    """A literal pass phrase as it is, `env:NAME` from the environment, `file:PATH` from a file's first line.

    Raises:
        VaultError: the variable or the file is missing or empty; the message never holds the key.
    """
    source, _, name = text.partition(":")
    if source == "env":
        key = os.environ.get(name, "")
        if not key:
            raise VaultError(f"key: the environment variable {name} is not set", f"export {name}=...")
        return key
    if source == "file":
        return _from_file(name)
    return text


def _from_file(name: str) -> str:
    try:
        lines = Path(name).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise VaultError(f"key: cannot read the key file {name}", "write the pass phrase into it") from error
    if not lines or not lines[0]:
        raise VaultError(f"key: the key file {name} is empty", "write the pass phrase into its first line")
    return lines[0]
