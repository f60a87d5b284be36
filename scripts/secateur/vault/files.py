"""Encrypted files on disk (age v1, see `vault.age`): written atomically, read with errors that name the file."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from secateur.errors import ArtifactError, VaultError
from secateur.storage.atomic import atomic_file
from secateur.storage.regular_files import open_regular
from secateur.vault import age


def encrypt_file(path: Path | str, target: Path | str, key: str) -> None:
    """Encrypt the file `path` as `target`, atomically."""
    with _open_for_reading(path) as stream, atomic_file(target) as out:
        age.seal(stream, out, key)


def decrypt_file(path: Path | str, target: Path | str, key: str) -> None:
    """Decrypt the file `path` as `target`; after an error there is no `target`. Raises as `age.open` does.

    If the process is killed, nothing of the plain content stays.
    """
    with _open_for_reading(path) as stream, atomic_file(target, unnamed=True) as out, naming(path):
        age.open(stream, out, key)


def rekey_file(path: Path | str, key: str, new_key: str) -> None:
    """Encrypt a file with another key, atomically. The plain content is never on the disk.

    The time of change is kept, since the content does not change: files that were made from it are not out of date.

    Raises as `age.open` does, with the name of the file; the file is then not changed.
    """
    with _open_for_reading(path) as stream:
        times = os.fstat(stream.fileno())
        with naming(path), atomic_file(path) as out:
            age.seal_chunks((chunk for chunk in age.chunks_of(stream, key) if chunk), out, new_key)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def write_content(content: IO[bytes], target: IO[bytes], key: str | None) -> None:
    """Write content encrypted; without a key as it is."""
    if key is None:
        shutil.copyfileobj(content, target)
    else:
        age.seal(content, target, key)


def read_content(path: Path | str, key: str | None) -> bytes:
    """The content of a file that `write_content` wrote.

    Raises:
        VaultError: as `age.open`, with the name of the file; or there is no key and the file is encrypted.
    """
    if key is not None:
        return read_encrypted(path, key)
    with _open_for_reading(path) as stream:
        content = stream.read()
    if content.startswith(age.MAGIC):
        raise VaultError(f"{path} is encrypted, and the spec has no key", "add its key to the spec: key: env:NAME")
    return content


def require_key(path: Path | str, key: str) -> None:
    """Raise as `age.open` does, with the name of the file, if the key does not fit. Only the header is read."""
    with _open_for_reading(path) as stream, naming(path):
        age.read_header(stream, key)


def read_encrypted(path: Path | str, key: str) -> bytes:
    """The decrypted bytes of an encrypted file. Raises as `age.open` does, with the name of the file."""
    plain = io.BytesIO()
    with _open_for_reading(path) as stream, naming(path):
        age.open(stream, plain, key)
    return plain.getvalue()


def _open_for_reading(path: Path | str) -> IO[bytes]:
    try:
        return open_regular(path)
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror or error}", "check the path") from error


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Add the name of the file to errors of the block."""
    try:
        yield
    except VaultError as error:
        raise type(error)(f"{path}: {error.message}", error.hint) from None
