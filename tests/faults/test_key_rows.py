"""Rows K1 to K8 of docs/reliability.md: keys and sealed files."""

import io
import os
import subprocess
import sys
import time

import pytest
from secateur.cli.main import main
from secateur.errors import DamagedError, NotAgeError, TruncatedError, VaultError, WrongKeyError
from secateur.vault import age
from secateur.vault import files as vault_files
from secateur.vault.keys import resolve_key

from tests.memory import Growth

FAST, CHUNK = 4, age.CHUNK_BYTES
# A file that this package sealed in November 2026: later versions must open it.
OLD_FILE = bytes.fromhex(
    "6167652d656e6372797074696f6e2e6f72672f76310a2d3e2073637279707420394937385152412f4a522b7637757170356b"
    "4b4472672031300a566337344853672f302f5238626456654c504e4b615966317a7854696e454f556f326c6c4b793734644d"
    "630a2d2d2d204756503758514c34416b476545415a4d656f324b4b6141423339322f454f4f525a506c67526b45755566670a"
    "9f8ac21c12604d052017a707b63d322e99ebd6fedf1c359048e7671e8aecdfaa1a2e1b789d778f234fde8695de1eafa6ce6c"
    "d347b1333479"
)


def sealed_bytes(content, key="k"):
    out = io.BytesIO()
    age.seal(io.BytesIO(content), out, key, FAST)
    return out.getvalue()


def opened(content, key="k"):
    out = io.BytesIO()
    age.open(io.BytesIO(content), out, key)
    return out.getvalue()


def test_k1_a_wrong_key_makes_no_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("K", "wrong")
    (tmp_path / "in").write_bytes(sealed_bytes(b"content"))
    assert main(["decrypt", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--key", "env:K"]) == 4
    assert "in: wrong key" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_k2_every_flipped_byte_of_header_and_edges():
    whole = sealed_bytes(b"x" * (2 * CHUNK + 10))
    header = whole.index(b"\n", whole.index(b"---")) + 1 + age.NONCE_BYTES
    size = CHUNK + age.TAG_BYTES
    places = [*range(header)]
    for start, end in ((header, header + size), (header + size, header + 2 * size), (header + 2 * size, len(whole))):
        places += [start, end - age.TAG_BYTES - 1, *range(end - age.TAG_BYTES, end)]
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 0x10
        with pytest.raises(VaultError) as error:
            opened(bytes(changed))
        if header <= place < header + 2 * size:
            assert isinstance(error.value, DamagedError), place
        if place < len(age.MAGIC):
            assert isinstance(error.value, NotAgeError), place


def test_k3_every_kind_of_truncation():
    whole = sealed_bytes(b"x" * (2 * CHUNK))
    header = whole.index(b"\n", whole.index(b"---")) + 1
    size = CHUNK + age.TAG_BYTES
    first = header + age.NONCE_BYTES
    for length in (1, 10, len(age.MAGIC) + 5, header - 1, header + 3, first, first + size - 1, first + size,
                   first + size + 1, len(whole) - 1):  # fmt: skip
        with pytest.raises(TruncatedError, match="cut short"):
            opened(whole[:length])
    with pytest.raises(VaultError):
        opened(b"")


def test_k4_more_or_other_chunks():
    content = b"a" * CHUNK + b"b" * CHUNK + b"c"
    whole = sealed_bytes(content)
    size = CHUNK + age.TAG_BYTES
    start = whole.index(b"\n", whole.index(b"---")) + 1 + age.NONCE_BYTES
    head, one, two, rest = whole[:start], whole[start:][:size], whole[start + size :][:size], whole[start + 2 * size :]
    assert opened(head + one + two + rest) == content
    for parts in (
        [one, two, rest, b"x"],
        [one, two, rest, whole],
        [two, one, rest],
        [one, one, two, rest],
        [one, rest],
    ):
        with pytest.raises(VaultError):
            opened(head + b"".join(parts))


@pytest.mark.parametrize(
    "header",
    [
        b"age-encryption.org/v2\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 10\n",
        b"age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 63\n",
        b"age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 9223372036854775808\n",
        b"age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA -1\n",
        b"age-encryption.org/v1\n-> " + b"x" * (64 << 20),
        b"age-encryption.org/v1\n"
        + b"-> scrypt AAAAAAAAAAAAAAAAAAAAAB 10\n"
        + b"A" * 43
        + b"\n--- "
        + b"A" * 43
        + b"\n",
    ],
    ids=["version 2", "cost 63", "cost 2^63", "cost -1", "endless line", "not canonical"],
)
def test_k5_hostile_headers_at_once_and_in_little_memory(header):
    started = time.process_time()
    with Growth() as memory, pytest.raises(VaultError):
        opened(header + bytes(1000))
    assert time.process_time() - started < 1
    assert memory.kb < 80_000


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7])
def test_k6_round_trips(size):
    content = os.urandom(size)
    assert opened(sealed_bytes(content)) == content


def test_k6_a_file_of_an_earlier_version_still_opens():
    assert opened(OLD_FILE, "old key") == b"sealed in November 2026\n"


def test_k7_keys_that_are_missing_empty_or_readable_by_others(tmp_path, monkeypatch, capsys):
    (tmp_path / "in").write_bytes(b"x")
    (tmp_path / "empty").write_text("")
    (tmp_path / "open").write_text("secret-key\n")
    for name, mode in (("empty", 0o600), ("open", 0o644)):
        (tmp_path / name).chmod(mode)
    monkeypatch.setenv("EMPTY", "")
    for key, said in (
        ("env:NOT_SET_ANYWHERE", "is not set"),
        ("env:EMPTY", "is not set"),
        (f"file:{tmp_path}/none", "cannot read the key file"),
        (f"file:{tmp_path}/empty", "is empty"),
        (f"file:{tmp_path}/open", "other users can read"),
        ("secret-key", "takes env:NAME or file:PATH"),
    ):
        assert main(["encrypt", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--key", key]) == 4
        error = capsys.readouterr().err
        assert said in error
        assert "secret-key" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a\0b", "~nouser123/x", "~\0/x", "/dev/zero", "pipe", ".", "\ud800", "a" * 5000])
def test_k7_a_key_file_that_is_no_file(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(VaultError, match="cannot read the key file"):
        resolve_key(f"file:{name}")


@pytest.mark.parametrize("name", ["\ud800", "a\0b", "=", ""])
def test_k7_a_variable_that_cannot_be(name):
    with pytest.raises(VaultError, match="is not set"):
        resolve_key(f"env:{name}")


def test_k7_the_key_is_in_nothing_that_a_whole_run_writes():
    """tests/e2e/test_quickstart.py::test_the_key_is_nowhere greps every byte of a run; here, argv and environment."""
    script = (
        "import sys; sys.argv = ['x']; from secateur.vault.keys import resolve_key; print(len(resolve_key('env:K')))"
    )
    environment = {**os.environ, "K": "secret-key", "PYTHONPATH": "scripts"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "10\n"
    assert "secret-key" not in done.stdout + done.stderr


def test_k8_other_containers_are_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("K", "k")
    cases = {
        "tao.etlt": (b"\x07\0\0\0input_1" + bytes(range(200)), "NVIDIA TAO's own closed container"),
        "plain.etlt": (b"\x08\x07\x12\x07pytorch, a plain ONNX file that is named .etlt", "not an age v1 file"),
        "zip.tltb": (b"PK\x03\x04" + bytes(100), "not an age v1 file"),
    }
    for name, (content, said) in cases.items():
        (tmp_path / name).write_bytes(content)
        assert main(["decrypt", str(tmp_path / name), "-o", str(tmp_path / "out"), "--key", "env:K"]) == 4
        assert said in capsys.readouterr().err
    with pytest.raises(WrongKeyError):
        (tmp_path / "good").write_bytes(sealed_bytes(b"x"))
        vault_files.read_encrypted(tmp_path / "good", "other")
