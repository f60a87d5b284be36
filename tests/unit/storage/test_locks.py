"""One process at a time; a dead one's lock is free."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from secateur.errors import ArtifactError, LockedError
from secateur.storage.locks import locked

HOLD = """
import sys, time
sys.path.insert(0, sys.argv[2])
from secateur.storage.locks import locked
with locked(sys.argv[1], "results/one/train"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path, repository):
    """Another process that holds the lock `tmp_path/lock`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock"), str(repository / "scripts")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_is_told_who_holds_it(tmp_path, holder):
    with pytest.raises(LockedError) as error, locked(tmp_path / "lock", "results/one/train"):
        pass
    assert error.value.message.startswith(
        f"results/one/train is in use by process {holder.pid} on {socket.gethostname()} since 20"
    )
    assert str(tmp_path / "lock") in error.value.hint
    assert error.value.exit_code == 75


def test_a_dead_holders_lock_is_taken_over(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert json.loads((tmp_path / "lock").read_text())["pid"] == holder.pid
    with locked(tmp_path / "lock", "it"):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_it_is_free_again_after_the_block_and_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(RuntimeError), locked(tmp_path / "lock", "it"):
            raise RuntimeError
        with locked(tmp_path / "lock", "it"):
            pass
    assert (tmp_path / "lock").read_text() == ""


def without_locks(descriptor, how):
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.mark.parametrize(
    ("about", "refused"),
    [
        ({"pid": 1, "host": socket.gethostname(), "since": "now"}, True),
        ({"pid": 2**22 + 5, "host": socket.gethostname(), "since": "now"}, False),
        ({"pid": 1, "host": "elsewhere", "since": "now"}, True),
        ({}, False),
    ],
    ids=["alive", "dead", "other host", "free"],
)
def test_a_file_system_without_locks_goes_by_the_process(tmp_path, monkeypatch, about, refused):
    monkeypatch.setattr(fcntl, "flock", without_locks)
    (tmp_path / "lock").write_text(json.dumps(about) if about else "")
    if refused:
        with pytest.raises(LockedError, match="in use by process 1"), locked(tmp_path / "lock", "it"):
            pass
    else:
        with locked(tmp_path / "lock", "it"):
            pass


def test_a_place_where_no_lock_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot write"), locked(tmp_path / "file" / "lock", "it"):
        pass
