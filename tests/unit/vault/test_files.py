"""Sealed files on disk: whole or not at all, and a change of key."""

import os
import signal
import subprocess
import sys

import pyrage
import pytest
from secateur.cli.main import main
from secateur.errors import ArtifactError, TruncatedError, WrongKeyError
from secateur.vault import files as vault_files

OLD, NEW = "the old passphrase", "the new passphrase"


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("OLD_KEY", OLD)
    monkeypatch.setenv("NEW_KEY", NEW)
    for name, size in (("a.tlt", 200_000), ("b.etlt", 0)):
        (tmp_path / "plain").write_bytes(b"z" * size)
        vault_files.encrypt_file(tmp_path / "plain", tmp_path / name, OLD)
        os.utime(tmp_path / name, ns=(10**18, 10**18 + 123))
    (tmp_path / "plain").unlink()
    return [tmp_path / "a.tlt", tmp_path / "b.etlt"]


def rekey(files):
    return main(["rekey", *map(str, files), "--key", "env:OLD_KEY", "--new-key", "env:NEW_KEY"])


def test_a_failed_open_leaves_no_file(tmp_path, files):
    files[0].write_bytes(files[0].read_bytes()[:-1])
    with pytest.raises(TruncatedError, match=r"a\.tlt: the encrypted file is cut short"):
        vault_files.decrypt_file(files[0], tmp_path / "out", OLD)
    assert not (tmp_path / "out").exists()


def test_rekey_changes_the_key_and_neither_content_nor_time(files, tmp_path):
    assert rekey(files) == 0
    assert pyrage.passphrase.decrypt(files[0].read_bytes(), NEW) == b"z" * 200_000
    assert pyrage.passphrase.decrypt(files[1].read_bytes(), NEW) == b""
    with pytest.raises(WrongKeyError):
        vault_files.read_encrypted(files[0], OLD)
    assert [path.stat().st_mtime_ns for path in files] == [10**18 + 123] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tlt", "b.etlt"]


def test_rekey_changes_nothing_when_one_file_has_another_key(files, tmp_path, capsys):
    (tmp_path / "plain").write_bytes(b"x")
    vault_files.encrypt_file(tmp_path / "plain", tmp_path / "c.tlt", "a third")
    before = [path.read_bytes() for path in files]
    assert rekey([*files, tmp_path / "c.tlt"]) == 4
    assert "c.tlt: wrong key" in capsys.readouterr().err
    assert [path.read_bytes() for path in files] == before


def test_rekey_of_a_file_that_is_damaged_behind_its_header_leaves_it(files, capsys):
    files[0].write_bytes(files[0].read_bytes()[:-1])
    before = files[0].read_bytes()
    assert rekey(files) == 4
    assert "a.tlt: the encrypted file is cut short" in capsys.readouterr().err
    assert files[0].read_bytes() == before


def test_rekey_refuses_a_key_on_the_command_line_and_names_a_missing_file(files, tmp_path, capsys):
    assert main(["rekey", str(files[0]), "--key", "env:OLD_KEY", "--new-key", NEW]) == 4
    error = capsys.readouterr().err
    assert "--new-key takes env:NAME or file:PATH" in error
    assert NEW not in error
    with pytest.raises(ArtifactError, match="cannot read"):
        vault_files.rekey_file(tmp_path / "none", OLD, NEW)


KILLED = """
import os, signal, sys
from secateur.vault import age, files
whole = age.open
def killed(stream, out, key):
    whole(stream, out, key)
    out.flush()
    os.kill(os.getpid(), signal.SIGKILL)
age.open = killed
files.decrypt_file(sys.argv[1], sys.argv[2], "k")
"""


def test_a_killed_decryption_leaves_no_plain_text(tmp_path):
    (tmp_path / "plain").write_bytes(b"SECRET " * 100_000)
    vault_files.encrypt_file(tmp_path / "plain", tmp_path / "m.etlt", "k")
    (tmp_path / "plain").unlink()
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "m.etlt", tmp_path / "m.onnx"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["m.etlt"]


def test_where_files_without_a_name_are_not_possible_they_have_one(tmp_path, monkeypatch):
    (tmp_path / "plain").write_bytes(b"content")
    vault_files.encrypt_file(tmp_path / "plain", tmp_path / "m.etlt", "k")
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_EXCL)
    vault_files.decrypt_file(tmp_path / "m.etlt", tmp_path / "m.onnx", "k")
    assert (tmp_path / "m.onnx").read_bytes() == b"content"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.etlt", "m.onnx", "plain"]


def test_a_decrypted_file_replaces_an_older_one_and_only_its_name_is_there(tmp_path, monkeypatch):
    (tmp_path / "plain").write_bytes(b"content")
    vault_files.encrypt_file(tmp_path / "plain", tmp_path / "m.etlt", "k")
    monkeypatch.chdir(tmp_path)
    for target in ("m.onnx", "m.onnx", tmp_path / "deeper/m.onnx"):
        vault_files.decrypt_file("m.etlt", target, "k")
        assert (tmp_path / target).read_bytes() == b"content"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "m.etlt",
        "m.onnx",
        "m.onnx",
        "plain",
    ]
