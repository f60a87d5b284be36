"""What a machine lacks, and what takes its place."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from secateur.errors import ArtifactError
from secateur.runtime import machine
from secateur.runtime.machine import missing_settings, missing_user, utf8_settings, writable


@pytest.fixture
def stranger(monkeypatch):
    """A user without an entry in passwd."""

    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr("pwd.getpwuid", unknown)


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return {"HOME": str(folder), "USER": "x"}


def test_a_whole_machine_needs_nothing(home, tmp_path):
    assert missing_settings(home, tmp_path) == {}
    assert missing_settings(home, tmp_path / "new") == {}
    assert not (tmp_path / ".snakemake").exists()


def test_a_user_without_a_name(stranger):
    name = f"uid{os.getuid()}"
    assert missing_user({}) == missing_user({"USER": ""}) == {"USER": name, "LOGNAME": name}
    for variable in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        assert missing_user({variable: "x"}) == {}


@pytest.mark.parametrize("value", [None, "", "/proc/self", "/nowhere", "/dev/null"])
def test_a_home_that_is_none(stranger, tmp_path, value):
    given = {"USER": "x"} if value is None else {"USER": "x", "HOME": value}
    found = missing_settings(given, tmp_path)
    assert found == {"HOME": str(tmp_path / ".snakemake/secateur/home")}
    assert Path(found["HOME"]).stat().st_mode & 0o777 == 0o700
    assert missing_settings(given, tmp_path) == found, "the next run has the same"


def test_a_home_that_passwd_names(monkeypatch, tmp_path):
    monkeypatch.setattr("pwd.getpwuid", lambda number: SimpleNamespace(pw_dir=str(tmp_path)))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert missing_settings({}, tmp_path) == {}


def test_a_cache_of_somebody_else(home, tmp_path):
    """As `sudo pip` leaves it. The folder is a file here: root can write into every folder."""
    (Path(home["HOME"]) / ".cache").touch()
    spare = str(tmp_path / ".snakemake/secateur/cache")
    assert missing_settings(home, tmp_path) == {"XDG_CACHE_HOME": spare}
    assert missing_settings({**home, "XDG_CACHE_HOME": "/proc/self"}, tmp_path) == {"XDG_CACHE_HOME": spare}
    assert missing_settings({**home, "XDG_CACHE_HOME": str(tmp_path)}, tmp_path) == {}


def test_a_folder_for_temporary_files(home, tmp_path, monkeypatch):
    assert missing_settings({**home, "TMPDIR": str(tmp_path)}, tmp_path) == {}
    assert missing_settings({**home, "TMPDIR": "/nowhere"}, tmp_path) == {"TMPDIR": "/tmp"}
    assert missing_settings({**home, "TMP": "/proc/self"}, tmp_path) == {"TMPDIR": "/tmp"}
    monkeypatch.setattr(machine, "TEMPORARY_FOLDERS", ("/nowhere", str(tmp_path)))
    assert missing_settings(home, tmp_path) == {"TMPDIR": str(tmp_path)}
    monkeypatch.setattr(machine, "TEMPORARY_FOLDERS", ("/nowhere",))
    assert missing_settings(home, tmp_path) == {"TMPDIR": str(tmp_path / ".snakemake/secateur/tmp")}


def test_a_locale_that_is_not_utf_8(monkeypatch):
    monkeypatch.setattr("locale.getpreferredencoding", lambda change: "ISO-8859-1")
    found = {"PYTHONUTF8": "1", "PYTHONIOENCODING": "ISO-8859-1:backslashreplace"}
    assert utf8_settings({}) == found
    assert utf8_settings({"PYTHONIOENCODING": "cp1252"}) == {**found, "PYTHONIOENCODING": "cp1252"}
    monkeypatch.setattr("locale.getpreferredencoding", lambda change: "UTF8")
    assert utf8_settings({}) == {}


def test_a_folder_that_cannot_be_written(home, tmp_path):
    with pytest.raises(ArtifactError, match="cannot be written by the user with number"):
        missing_settings(home, Path("/proc/self"))
    (tmp_path / ".snakemake").touch()
    with pytest.raises(ArtifactError, match=r"\.snakemake cannot be written"):
        missing_settings(home, tmp_path)


def test_full(tmp_path):
    assert writable(tmp_path)
    assert not writable(tmp_path / "missing")
    assert not writable("/dev/full")
    assert sys.platform != "linux" or not writable("/proc")
