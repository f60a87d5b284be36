"""Find the encryption key that the spec names. The key is never written or printed.

See docs/decisions/the-key.md.
"""

from __future__ import annotations

import io
import os
import stat
import unicodedata
from pathlib import Path

from secateur.errors import VaultError
from secateur.spec import Spec
from secateur.storage.regular_files import open_given

MAX_KEY_FILE_CHARACTERS = 1 << 16
# Any permission of the group or of all others; ssh refuses key files with these too.
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def key_of(spec: Spec) -> str | None:
    """The passphrase of a spec; None if its files are not encrypted.

    Raises:
        VaultError: the spec has no key, or the variable or file that it names has none.
    """
    if spec.plain_files:
        return None
    if spec.key is None or not spec.key.get_secret_value():
        raise VaultError(
            "the spec has no key", "add `key: env:SECATEUR_KEY` and set that variable, or `key: none` for plain files"
        )
    return resolve_key(spec.key.get_secret_value())


def resolve_key(text: str) -> str:
    """The passphrase: a literal text, `env:NAME` from the environment, or `file:PATH` from the first line of a file.

    It is converted to Unicode NFC, so that a key typed on another system is the same key.

    Raises:
        VaultError: the variable or the file is missing or empty, other users can read the file, it is a pipe or a
            device, or the key has control characters. The message never shows the key.
    """
    kind, _, name = text.partition(":")
    if kind == "env":
        key = _from_environment(name)
        if not key:
            raise VaultError(f"key: the environment variable {name} is not set", f"export {name}=...")
    elif kind == "file":
        key = _from_file(name)
    else:
        key = text
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in key):
        raise VaultError("key: it holds a line break or another control character", "write it on one line")
    return unicodedata.normalize("NFC", key)


def _from_environment(name: str) -> str:
    try:
        return os.environ.get(name, "")
    except UnicodeEncodeError:  # no variable can have this name
        return ""


def _from_file(name: str) -> str:
    path = Path(name)
    try:
        path = path.expanduser()
        with io.TextIOWrapper(open_given(path), encoding="utf-8-sig", newline="") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            line = stream.read(MAX_KEY_FILE_CHARACTERS).partition("\n")[0].removesuffix("\r")
    # RuntimeError: there is no user of the name behind `~`.
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a name, or not UTF-8 text"
        raise VaultError(
            f"key: cannot read the key file {path}: {reason}", "write the passphrase into a file, and name that file"
        ) from error
    if stat.S_ISREG(mode) and mode & OTHERS:
        raise VaultError(f"key: other users can read the key file {path}", f"chmod 600 {path}")
    if not line:
        raise VaultError(f"key: the key file {path} is empty", "write the passphrase into its first line")
    return line
