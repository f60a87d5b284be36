"""Sealed files: age v1 (see `vault`) on disk, written atomically and read with errors that name the file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from secateur.errors import ArtifactError, VaultError
from secateur.storage.atomic import atomic_file
from secateur.vault import age


def encrypt_file(source: Path | str, target: Path | str, key: str) -> None:
    """Encrypt the file `source` as `target`, atomically."""
    with _open_for_reading(source) as stream, atomic_file(target) as out:
        age.seal(stream, out, key)


def decrypt_file(source: Path | str, target: Path | str, key: str) -> None:
    """Decrypt the file `source` as `target`; on any error `target` is not made. Raises as `open` does."""
    with _open_for_reading(source) as stream, atomic_file(target) as out, naming(source):
        age.open(stream, out, key)


def rekey_file(path: Path | str, key: str, new_key: str) -> None:
    """Seal a file under another key, atomically; its plain content is never on the disk.

    The time of change stays, since the content has not changed: what was made from the file is not out of date.

    Raises: as `open` does, naming the file, which is then as it was.
    """
    with _open_for_reading(path) as stream:
        times = os.fstat(stream.fileno())
        with naming(path), atomic_file(path) as out:
            age.seal_chunks((chunk for chunk in age.chunks_of(stream, key) if chunk), out, new_key)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def require_key(path: Path | str, key: str) -> None:
    """Raises as `open` does, naming the file, when its header does not open with the key. The content is not read."""
    with _open_for_reading(path) as stream, naming(path):
        age.read_header(stream, key)


def read_encrypted(path: Path | str, key: str) -> bytes:
    """The decrypted bytes of a sealed file. Raises as `open` does, naming the file."""
    plain = io.BytesIO()
    with _open_for_reading(path) as stream, naming(path):
        age.open(stream, plain, key)
    return plain.getvalue()


def _open_for_reading(path: Path | str) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror or error}", "check the path") from error


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Put the name of the file before what is wrong with it."""
    try:
        yield
    except VaultError as error:
        raise type(error)(f"{path}: {error.message}", error.hint) from None
