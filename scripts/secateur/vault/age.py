"""Encrypt files in the age v1 format with one scrypt recipient (age-encryption.org/v1).

Any age program decrypts files that `seal` writes, with the passphrase, and `open` decrypts files that any age program
encrypted with a passphrase. The layout, from the age specification (C2SP age.md):

    age-encryption.org/v1
    -> scrypt <salt> <log2 of the work factor>
    <file key, wrapped>
    --- <header MAC>
    <16-byte nonce> <payload in chunks of 64 KiB, each with a 16-byte tag>

See docs/decisions/age-files.md.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from typing import IO

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from secateur.errors import (
    DamagedError,
    NotAgeError,
    NvidiaContainerError,
    TruncatedError,
    VaultError,
    WrongKeyError,
)

MAGIC = b"age-encryption.org/v1\n"
SCRYPT_LABEL = b"age-encryption.org/v1/scrypt"
CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
NONCE_BYTES = 16
FILE_KEY_BYTES = 16
SALT_BYTES = 16
# 2**16 takes about a quarter of a second and 64 MiB; training encrypts a checkpoint every epoch.
WORK_FACTOR = 16
# Without a limit a hostile file could make its reader compute for years. 2**20 takes 1 GiB and seconds; age's programs
# use 18, or a factor that takes one second.
MAX_WORK_FACTOR = 20
MAX_HEADER_BYTES = 4096
# An NVIDIA container starts with the length of a short tensor name, in four bytes.
MAX_NVIDIA_NAME_BYTES = 64


def seal(stream: IO[bytes], target: IO[bytes], key: str, work_factor: int = WORK_FACTOR) -> None:
    """Encrypt the rest of `stream`, of any length, into `target`; otherwise as `seal_chunks`."""
    seal_chunks(iter(lambda: stream.read(CHUNK_BYTES), b""), target, key, work_factor)


def seal_chunks(chunks: Iterable[bytes], target: IO[bytes], key: str, work_factor: int = WORK_FACTOR) -> None:
    """Encrypt `chunks` into `target`.

    Args:
        chunks: of 64 KiB each, except that the last can be shorter; none for empty content.
        target: writable binary stream; it need not be seekable.
        key: passphrase, not empty.
        work_factor: log2 of scrypt's N, 1 to 20.

    Raises:
        VaultError: the key is empty, or there is too little memory for scrypt.
    """
    if not key:
        raise VaultError("the key is empty", "give a passphrase")
    file_key, salt, nonce = os.urandom(FILE_KEY_BYTES), os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    wrapped = ChaCha20Poly1305(_wrap_key(key, salt, work_factor)).encrypt(bytes(12), file_key, None)
    header = b"%s-> scrypt %s %d\n%s\n---" % (MAGIC, _encode(salt), work_factor, _encode(wrapped))
    target.write(b"%s %s\n" % (header, _encode(_header_mac(file_key, header).finalize())))
    target.write(nonce)
    cipher = ChaCha20Poly1305(_derive(file_key, nonce, b"payload"))
    following = iter(chunks)
    chunk = next(following, b"")
    for counter in itertools.count():
        after = next(following, b"")
        target.write(cipher.encrypt(_chunk_nonce(counter, last=not after), chunk, None))
        if not after:
            return
        chunk = after


def open(stream: IO[bytes], target: IO[bytes], key: str) -> None:
    """Decrypt `stream` into `target`. Each chunk is authenticated before it is written to `target`.

    The caller must discard `target` after an error: the earlier chunks are already there.

    Args:
        stream: readable binary stream at the start of an age v1 file.
        target: writable binary stream.
        key: passphrase.

    Raises: as `chunks_of`.
    """
    for chunk in chunks_of(stream, key):
        target.write(chunk)


def chunks_of(stream: IO[bytes], key: str) -> Iterator[bytes]:
    """The decrypted content in authenticated parts of 64 KiB or less.

    Raises:
        NotAgeError, NvidiaContainerError: another format.
        WrongKeyError: the file key does not unwrap with `key`.
        TruncatedError: the file ends in its header, in its nonce or before its last chunk.
        DamagedError: the header or a chunk fails authentication.
        VaultError: there is too little memory for scrypt.
    """
    file_key = read_header(stream, key)
    nonce = stream.read(NONCE_BYTES)
    if len(nonce) < NONCE_BYTES:
        raise _truncated()
    cipher = ChaCha20Poly1305(_derive(file_key, nonce, b"payload"))
    size = CHUNK_BYTES + TAG_BYTES
    counter, chunk = 0, stream.read(size)
    while True:
        following = stream.read(size) if len(chunk) == size else b""
        plain = _open_chunk(cipher, counter, chunk, last=not following)
        if not plain and counter:
            raise DamagedError("the encrypted file ends in an empty chunk", "copy the file again from where you got it")
        yield plain
        if not following:
            return
        counter, chunk = counter + 1, following


def read_header(stream: IO[bytes], key: str) -> bytes:
    """Check the header and return the file key. Raises as `open` does."""
    _check_magic(stream)
    stanza = re.fullmatch(rb"-> scrypt ([A-Za-z0-9+/]{22}) ([1-9][0-9]?)\n", _line(stream))
    if not stanza:
        raise NotAgeError(
            "the age file is not encrypted with a passphrase", "decrypt it with the age program and its identity"
        )
    work_factor = int(stanza[2])
    if work_factor > MAX_WORK_FACTOR:
        raise NotAgeError(
            f"scrypt work factor {work_factor} is above {MAX_WORK_FACTOR}",
            "encrypt the file again with a smaller factor",
        )
    body, mac_line = _line(stream), _line(stream)
    mac = re.fullmatch(rb"--- ([A-Za-z0-9+/]{43})\n", mac_line)
    if not mac or not re.fullmatch(rb"[A-Za-z0-9+/]{43}\n", body):
        raise DamagedError("the header of the encrypted file is damaged", "copy the file again from where you got it")
    try:
        wrap_key = _wrap_key(key, _decode(stanza[1]), work_factor)
        file_key = ChaCha20Poly1305(wrap_key).decrypt(bytes(12), _decode(body.strip()), None)
    except InvalidTag:
        raise WrongKeyError("wrong key", "give the `key` of the spec with which the file was encrypted") from None
    header = MAGIC + stanza[0] + body + b"---"
    try:
        _header_mac(file_key, header).verify(_decode(mac[1]))
    except InvalidSignature:
        raise DamagedError(
            "the header of the encrypted file is damaged", "copy the file again from where you got it"
        ) from None
    return file_key


def _check_magic(stream: IO[bytes]) -> None:
    start = stream.read(len(MAGIC))
    if start == MAGIC:
        return
    if start and MAGIC.startswith(start):
        raise _truncated()
    if looks_like_nvidia(start):
        raise nvidia_container()
    raise NotAgeError("not an age v1 file", "it may be a plain file, or another program wrote it")


def nvidia_container() -> NvidiaContainerError:
    """The error for an encrypted file of TAO."""
    return NvidiaContainerError(
        "this file is in NVIDIA TAO's own closed container, which only NVIDIA's tools can open",
        "export it from TAO as plain .onnx",
    )


def looks_like_nvidia(start: bytes) -> bool:
    """Whether a file starts like an encrypted file of TAO.

    TAO writes the length of the input's name in four little-endian bytes, then the name, then the payload. The length 0
    means ONNX, and the payload follows directly.
    """
    if len(start) < len(MAGIC):
        return False
    length = int.from_bytes(start[:4], "little")
    name = start[4 : 4 + length]
    return length <= MAX_NVIDIA_NAME_BYTES and (not length or re.fullmatch(rb"[\w/:.\-]+", name) is not None)


def _line(stream: IO[bytes]) -> bytes:
    line = stream.readline(MAX_HEADER_BYTES)
    if not line.endswith(b"\n"):
        raise _truncated() if len(line) < MAX_HEADER_BYTES else NotAgeError("not an age v1 file")
    return line


def _open_chunk(cipher: ChaCha20Poly1305, counter: int, chunk: bytes, last: bool) -> bytes:
    if len(chunk) < TAG_BYTES:
        raise _truncated()
    try:
        return cipher.decrypt(_chunk_nonce(counter, last), chunk, None)
    except InvalidTag:
        pass
    if last and _authentic(cipher, _chunk_nonce(counter, last=False), chunk):
        raise _truncated()
    if last and not _ends_complete(cipher, counter, chunk):
        raise _truncated()
    raise DamagedError(
        f"the encrypted file is damaged in its part {counter + 1} of 64 KiB",
        "copy the file again from where you got it",
    )


def _authentic(cipher: ChaCha20Poly1305, nonce: bytes, chunk: bytes) -> bool:
    try:
        cipher.decrypt(nonce, chunk, None)
    except InvalidTag:
        return False
    return True


def _ends_complete(cipher: ChaCha20Poly1305, counter: int, chunk: bytes) -> bool:
    """Whether a last chunk that fails ends like our model files, so that it was changed and not cut.

    age has no length field, so a cut and a change look alike in the last chunk. ChaCha20 is its own inverse, so
    encrypting the chunk gives the unauthenticated text. Only its ending is checked; nothing of it is released.
    """
    text = cipher.encrypt(_chunk_nonce(counter, last=True), chunk[:-TAG_BYTES], None)[:-TAG_BYTES]
    return any(text.endswith(ending) for ending in ENDINGS) or ZIP_END in text[-22:-18]


# Endings of our plain files: the last record of a zip archive, and the last entry that the ONNX writer adds.
ZIP_END = b"PK\x05\x06"
ONNX_END = b"secateur.end"
ENDINGS = (ONNX_END,)


def _truncated() -> TruncatedError:
    return TruncatedError("the encrypted file is cut short", "copy the file again from where you got it")


def _wrap_key(key: str, salt: bytes, work_factor: int) -> bytes:
    try:
        return Scrypt(salt=SCRYPT_LABEL + salt, length=32, n=1 << work_factor, r=8, p=1).derive(key.encode("utf-8"))
    except MemoryError as error:
        # scrypt takes 128 * r bytes for each of its n steps.
        raise VaultError(
            f"scrypt work factor {work_factor} needs {1 << work_factor >> 10:,} MiB of memory for the key, and less is "
            "free",
            "free memory, or encrypt the file with a smaller factor on a larger machine",
        ) from error


def _derive(file_key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(file_key)


def _header_mac(file_key: bytes, header: bytes) -> HMAC:
    mac = HMAC(_derive(file_key, b"", b"header"), SHA256())
    mac.update(header)
    return mac


def _chunk_nonce(counter: int, last: bool) -> bytes:
    return counter.to_bytes(11, "big") + bytes([last])


def _encode(raw: bytes) -> bytes:
    return base64.b64encode(raw).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    """Decode canonical unpadded base64: bits after the data must be zero."""
    try:
        raw = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raw = b""
    if _encode(raw) != text:
        raise DamagedError("the header of the encrypted file is damaged", "copy the file again from where you got it")
    return raw
