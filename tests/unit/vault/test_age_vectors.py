"""The age specification (C2SP age.md), case by case, for files with a scrypt recipient.

The cases have the names of the published test vectors (C2SP CCTV). The files are made here by a small writer of its
own, so that each is right but for the one thing that its name says.
"""

import base64
import hashlib
import hmac
import io

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from secateur.errors import VaultError
from secateur.vault import open as open_vault

KEY = "password"
FILE_KEY, SALT, NONCE = b"YELLOW SUBMARINE", bytes(range(16)), bytes(range(50, 66))
CHUNK = 64 * 1024


def b64(raw):
    return base64.b64encode(raw).rstrip(b"=")


def derived(key, salt, info):
    return HKDF(SHA256(), 32, salt, info).derive(key)


def body(salt=SALT, factor=10, file_key=FILE_KEY, label=b"age-encryption.org/v1/scrypt", key=KEY):
    wrap = hashlib.scrypt(key.encode(), salt=label + salt, n=1 << factor, r=8, p=1, dklen=32, maxmem=1 << 28)
    return ChaCha20Poly1305(wrap).encrypt(bytes(12), file_key, None)


def stanza(salt=None, factor=b"10", wrapped=None, tag=b"scrypt", more=b""):
    salt = b64(SALT) if salt is None else salt
    wrapped = b64(body()) if wrapped is None else wrapped
    return b"-> %s %s %s%s\n%s\n" % (tag, salt, factor, more, wrapped)


def stream(*chunks, nonce=NONCE, flags=None):
    key = derived(FILE_KEY, nonce, b"payload")
    flags = flags or [number == len(chunks) - 1 for number in range(len(chunks))]
    sealed = [
        ChaCha20Poly1305(key).encrypt(number.to_bytes(11, "big") + bytes([last]), chunk, None)
        for number, (chunk, last) in enumerate(zip(chunks, flags, strict=True))
    ]
    return nonce + b"".join(sealed)


def mac_of(header):
    return b64(hmac.new(derived(FILE_KEY, b"", b"header"), header, "sha256").digest())


def age(stanzas=None, payload=None, version=b"age-encryption.org/v1", footer=None):
    stanzas = stanza() if stanzas is None else stanzas
    header = version + b"\n" + stanzas + b"---"
    footer = b" " + mac_of(header) + b"\n" if footer is None else footer
    return header + footer + (stream(b"age") if payload is None else payload)


def opened(content):
    out = io.BytesIO()
    open_vault(io.BytesIO(content), out, KEY)
    return out.getvalue()


GOOD_MAC = mac_of(b"age-encryption.org/v1\n" + stanza() + b"---")

RIGHT = {
    "scrypt": (age(), b"age"),
    "stream_empty_payload": (age(payload=stream(b"")), b""),
    "stream_last_chunk_full": (age(payload=stream(bytes(CHUNK))), bytes(CHUNK)),
    "stream_two_chunks": (age(payload=stream(bytes(CHUNK), b"x")), bytes(CHUNK) + b"x"),
    "stream_two_full_chunks": (age(payload=stream(bytes(CHUNK), bytes(CHUNK))), bytes(2 * CHUNK)),
    "scrypt_work_factor_1": (age(stanza(factor=b"1", wrapped=b64(body(factor=1)))), b"age"),
}

WRONG = {
    "empty": b"",
    "version_unsupported": age(version=b"age-encryption.org/v1234"),
    "version_2": age(version=b"age-encryption.org/v2"),
    "header_crlf": age().replace(b"\n", b"\r\n", 4),
    "armor": b"-----BEGIN AGE ENCRYPTED FILE-----\n" + base64.b64encode(age()) + b"\n-----END AGE ENCRYPTED FILE-----",
    "scrypt_bad_tag": age(stanza(wrapped=b64(body()[:-1] + b"\0"))),
    "scrypt_no_match": age(stanza(wrapped=b64(body(key="other")))),
    "scrypt_double": age(stanza() + stanza()),
    "scrypt_and_x25519": age(stanza() + b"-> X25519 " + b64(bytes(32)) + b"\n" + b64(bytes(32)) + b"\n"),
    "x25519_only": age(b"-> X25519 " + b64(bytes(32)) + b"\n" + b64(bytes(32)) + b"\n"),
    "scrypt_extra_argument": age(stanza(more=b" 10")),
    "scrypt_uppercase": age(stanza(tag=b"SCRYPT")),
    "scrypt_long_file_key": age(stanza(wrapped=b64(body(file_key=FILE_KEY * 2)))),
    "scrypt_short_file_key": age(stanza(wrapped=b64(body(file_key=FILE_KEY[:8])))),
    "scrypt_salt_long": age(stanza(salt=b64(SALT + b"x"), wrapped=b64(body(SALT + b"x")))),
    "scrypt_salt_short": age(stanza(salt=b64(SALT[:-1]), wrapped=b64(body(SALT[:-1])))),
    "scrypt_salt_missing": age(b"-> scrypt 10\n" + b64(body()) + b"\n"),
    "scrypt_salt_padded": age(stanza(salt=b64(SALT) + b"==")),
    "scrypt_not_canonical_salt": age(stanza(salt=b64(SALT)[:-1] + b"x")),
    "scrypt_not_canonical_body": age(stanza(wrapped=b64(body())[:-1] + b"_")),
    "scrypt_wrong_label": age(stanza(wrapped=b64(body(label=b"age-encryption.org/v2/scrypt")))),
    "scrypt_work_factor_wrong": age(stanza(factor=b"9")),
    "scrypt_work_factor_missing": age(b"-> scrypt " + b64(SALT) + b"\n" + b64(body()) + b"\n"),
    "stanza_empty_body": age(b"-> scrypt " + b64(SALT) + b" 10\n\n"),
    "stanza_body_padded": age(stanza(wrapped=b64(body()) + b"=")),
    "stanza_long_line": age(stanza(wrapped=b64(body()) * 2)),
    "stanza_missing_body": age(b"-> scrypt " + b64(SALT) + b" 10\n"),
    "stanza_no_arguments": age(b"->\n" + b64(body()) + b"\n"),
    "stanza_none": age(b""),
    "stanza_two_spaces": age(stanza(tag=b" scrypt")),
    "hmac_bad": age(footer=b" " + b64(bytes(32)) + b"\n"),
    "hmac_extra_space": age(footer=b"  " + GOOD_MAC + b"\n"),
    "hmac_garbage": age(footer=b" " + GOOD_MAC + b"A\n"),
    "hmac_missing": age(footer=b"\n"),
    "hmac_no_space": age(footer=GOOD_MAC + b"\n"),
    "hmac_not_canonical": age(footer=b" " + GOOD_MAC[:-1] + bytes([GOOD_MAC[-1] + 1]) + b"\n"),
    "hmac_trailing_space": age(footer=b" " + GOOD_MAC + b" \n"),
    "hmac_truncated": age(footer=b" " + GOOD_MAC[:-1] + b"\n"),
    "stream_no_nonce": age(payload=b""),
    "stream_short_nonce": age(payload=NONCE[:-1]),
    "stream_no_chunks": age(payload=NONCE),
    "stream_no_final": age(payload=stream(b"age", flags=[False])),
    "stream_no_final_full": age(payload=stream(bytes(CHUNK), flags=[False])),
    "stream_no_final_two_chunks": age(payload=stream(bytes(CHUNK), b"x", flags=[False, False])),
    "stream_no_final_two_chunks_full": age(payload=stream(bytes(CHUNK), bytes(CHUNK), flags=[False, False])),
    "stream_last_chunk_empty": age(payload=stream(bytes(CHUNK), b"")),
    "stream_short_second_chunk": age(payload=stream(bytes(CHUNK), bytes(9), bytes(9))),
    "stream_two_final_chunks": age(payload=stream(bytes(CHUNK), bytes(CHUNK), flags=[True, True])),
    "stream_trailing_garbage_short": age(payload=stream(b"age") + b"x"),
    "stream_trailing_garbage_long": age(payload=stream(bytes(CHUNK)) + bytes(100)),
    "stream_bad_tag": age(payload=stream(b"age")[:-1] + b"\0"),
    "stream_bad_tag_second_chunk": age(payload=stream(bytes(CHUNK), b"age")[:-1] + b"\0"),
    "stream_missing_tag": age(payload=stream(b"age")[:-16]),
    "stream_chunk_too_long": age(payload=stream(bytes(CHUNK + 1))),
    **{
        f"scrypt_work_factor_{name}": age(stanza(factor=factor))
        for name, factor in {
            "21": b"21", "23": b"23", "overflow": b"9223372036854775808", "hex": b"0xa", "leading_plus": b"+10",
            "leading_zero_decimal": b"010", "leading_zero_octal": b"012", "negative": b"-10", "zero": b"0",
            "leading_garbage": b"aaaa10", "trailing_garbage": b"10aaaa", "trailing_space": b"10 ",
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_right(name):
    content, plain = RIGHT[name]
    assert opened(content) == plain


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name):
    with pytest.raises(VaultError):
        opened(WRONG[name])
