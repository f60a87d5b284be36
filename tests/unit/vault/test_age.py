"""age v1: our own round trips, another implementation's files, and every way to be refused."""

import io
import queue
import threading

import pyrage
import pytest
from secateur.errors import DamagedError, NotAgeError, NvidiaContainerError, TruncatedError, VaultError, WrongKeyError
from secateur.vault import age
from secateur.vault import files as vault_files

from tests.memory import Growth

FAST = 4  # work factor: tests need no protection
CHUNK = age.CHUNK_BYTES


def sealed(content: bytes, key: str = "passphrase") -> bytes:
    out = io.BytesIO()
    age.seal(io.BytesIO(content), out, key, work_factor=FAST)
    return out.getvalue()


def opened(content: bytes, key: str = "passphrase") -> bytes:
    out = io.BytesIO()
    age.open(io.BytesIO(content), out, key)
    return out.getvalue()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7])
def test_round_trip_at_chunk_edges(size):
    content = bytes(index % 251 for index in range(size))
    assert opened(sealed(content)) == content


@pytest.mark.parametrize("size", [0, 5, CHUNK, CHUNK + 1])
def test_another_implementation_opens_ours(size):
    content = b"x" * size
    assert pyrage.passphrase.decrypt(sealed(content), "passphrase") == content


@pytest.mark.parametrize("size", [0, 5, CHUNK, 2 * CHUNK + 1])
def test_ours_opens_another_implementations(size):
    content = b"y" * size
    assert opened(pyrage.passphrase.encrypt(content, "käse")[:], "käse") == content


def test_an_empty_key_is_refused():
    with pytest.raises(VaultError, match="empty"):
        sealed(b"content", "")


def test_wrong_key():
    with pytest.raises(WrongKeyError, match="wrong key"):
        opened(sealed(b"content"), "other")


def test_every_truncation_is_refused():
    whole = sealed(b"content" * 20)
    for length in range(len(whole)):
        with pytest.raises((TruncatedError, NotAgeError)) as error:
            opened(whole[:length])
        if length:
            assert isinstance(error.value, TruncatedError), length


def test_truncation_at_a_chunk_boundary():
    whole = sealed(b"z" * (2 * CHUNK))
    with pytest.raises(TruncatedError, match="cut short"):
        opened(whole[: -(CHUNK + age.TAG_BYTES)])


def test_every_flipped_bit_of_the_header_and_payload_is_refused():
    whole = sealed(b"some content here")
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1
        with pytest.raises((DamagedError, WrongKeyError, NotAgeError, TruncatedError)):
            opened(bytes(changed))


def test_a_flipped_bit_before_the_last_chunk_is_damage():
    whole = bytearray(sealed(b"z" * (2 * CHUNK)))
    whole[-CHUNK - 100] ^= 1
    with pytest.raises(DamagedError, match="part 1 of 64 KiB"):
        opened(bytes(whole))


@pytest.mark.parametrize("ending", [age.ONNX_END, age.ZIP_END + bytes(18)])
def test_a_flipped_bit_in_the_last_chunk_of_a_model_is_damage_and_a_cut_is_not(ending):
    whole = sealed(b"model" * 100 + ending)
    flipped = bytearray(whole)
    flipped[-300] ^= 1
    with pytest.raises(DamagedError):
        opened(bytes(flipped))
    with pytest.raises(TruncatedError):
        opened(whole[:-5])


def test_appended_swapped_and_repeated_chunks_are_refused():
    size = CHUNK + age.TAG_BYTES
    whole = sealed(b"a" * CHUNK + b"b" * CHUNK + b"c" * 10)
    start = len(whole) - (2 * size + 10 + age.TAG_BYTES)
    head, first, second, last = whole[:start], whole[start:][:size], whole[start + size :][:size], whole[-26:]
    assert opened(head + first + second + last)
    for changed in (
        head + second + first + last,
        head + first + first + second + last,
        head + first + last,
        whole + b"x",
    ):
        with pytest.raises((DamagedError, TruncatedError)):
            opened(changed)


def test_not_an_age_file():
    with pytest.raises(NotAgeError, match="not an age"):
        opened(b"\x08\x07\x12\x07pytorch and much more of it, a plain ONNX file")


@pytest.mark.parametrize("start", [b"\x07\0\0\0input_1", b"\0\0\0\0"])
def test_nvidias_container_is_recognised(start):
    with pytest.raises(NvidiaContainerError, match="NVIDIA"):
        opened(start + bytes(range(1, 200)))


@pytest.mark.parametrize("factor", [b"23", b"99", b"0", b"015", b"4 x"])
def test_hostile_work_factors_are_refused(factor):
    with pytest.raises((NotAgeError, DamagedError)):
        opened(sealed(b"content").replace(b" 4\n", b" " + factor + b"\n", 1))


class Zeros(io.RawIOBase):
    """A stream of zeros that stands nowhere."""

    def __init__(self, size):
        self.left = size

    def read(self, size=-1):
        size = min(size, self.left)
        self.left -= size
        return bytes(size)


class Pipe:
    """What is written by one side is read by the other, in a thread of its own; holds one chunk."""

    def __init__(self):
        self.parts = queue.Queue(maxsize=1)
        self.rest = b""

    def write(self, data):
        self.parts.put(bytes(data))

    def _fill(self, enough):
        while not enough() and (part := self.parts.get()):
            self.rest += part

    def read(self, size):
        self._fill(lambda: len(self.rest) >= size)
        out, self.rest = self.rest[:size], self.rest[size:]
        return out

    def readline(self, limit):
        self._fill(lambda: b"\n" in self.rest)
        line, mark, self.rest = self.rest.partition(b"\n")
        return line + mark


@pytest.mark.slow
def test_two_gigabytes_take_no_more_memory_than_two_megabytes():
    size, pipe, count = 2 << 30, Pipe(), [0]

    class Counted:
        def write(self, data):
            count[0] += len(data)

    def send():
        age.seal(Zeros(size), pipe, "k", FAST)
        pipe.write(b"")

    sender = threading.Thread(target=send)
    with Growth() as memory:
        sender.start()
        age.open(pipe, Counted(), "k")
        sender.join()
    assert count[0] == size
    assert memory.kb < 20_000


def test_too_little_memory_for_scrypt(monkeypatch, tmp_path):
    def derive(self, key):
        raise MemoryError

    vault_files.encrypt_file(__file__, tmp_path / "m.tlt", "k")
    monkeypatch.setattr(age, "Scrypt", type("Scrypt", (), {"__init__": lambda self, **_: None, "derive": derive}))
    with pytest.raises(VaultError, match=r"m.tlt: scrypt work factor 16 needs 64 MiB of memory") as refused:
        vault_files.read_encrypted(tmp_path / "m.tlt", "k")
    assert refused.value.hint
