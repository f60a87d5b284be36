"""Sealed files on disk: whole or not at all, and a change of key."""

import os

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
