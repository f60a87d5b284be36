"""Folders as users have them: every file is found or counted."""

import os

import pytest
from secateur.data.left_out import LeftOut
from secateur.data.walking import walk
from secateur.errors import DataError


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def found(folder, follow_links=True):
    left_out = LeftOut()
    return [os.path.relpath(path, folder) for path in walk(str(folder), left_out, follow_links)], left_out.files


@pytest.mark.parametrize(
    "litter", ["@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information", "#recycle", "__MACOSX", "@Recycle"]
)
def test_folders_of_other_programs_are_left_out_and_their_files_counted(tmp_path, litter):
    touch(tmp_path / "a.jpg", tmp_path / litter / "a.jpg/SYNOPHOTO_THUMB_M.jpg", tmp_path / "in" / litter / "b.jpg")
    assert found(tmp_path) == (["a.jpg"], {f"of another program: {litter}": 2})


def test_hidden_files_and_folders_are_counted(tmp_path):
    touch(tmp_path / "a.jpg", tmp_path / "._a.jpg", tmp_path / ".thumbnails/a.jpg", tmp_path / "Thumbs.db")
    assert found(tmp_path) == (["a.jpg"], {"hidden": 2, "of another program: Thumbs.db": 1})


def test_a_linked_folder_is_read_or_counted(tmp_path):
    touch(tmp_path / "here/a.jpg", tmp_path / "elsewhere/b.jpg")
    (tmp_path / "here/more").symlink_to(tmp_path / "elsewhere")
    assert found(tmp_path / "here") == (["a.jpg", "more/b.jpg"], {})
    assert found(tmp_path / "here", follow_links=False) == (["a.jpg"], {"linked folders": 1})


def test_loops_end(tmp_path):
    touch(tmp_path / "a.jpg", tmp_path / "in/b.jpg")
    (tmp_path / "in/up").symlink_to(tmp_path)
    (tmp_path / "in/self").symlink_to(".")
    assert found(tmp_path) == (["a.jpg", "in/b.jpg"], {"linked folders that were read already": 2})


def test_links_of_links_are_read_once(tmp_path):
    """Twenty levels with two links each would be a million folders."""
    touch(tmp_path / "level20/a.jpg")
    for level in range(20):
        folder = tmp_path / f"level{level}"
        folder.mkdir()
        for name in ("left", "right"):
            (folder / name).symlink_to(tmp_path / f"level{level + 1}")
    paths, files = found(tmp_path / "level0")
    assert len(paths) == 1
    assert files == {"linked folders that were read already": 20}


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no second device")
def test_another_device_is_counted(tmp_path):
    if os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("the same device")
    touch(tmp_path / "a.jpg")
    (tmp_path / "other").symlink_to("/dev/shm")
    assert found(tmp_path) == (["a.jpg"], {"linked folders of another device": 1})


def test_a_folder_without_permission_is_an_error(tmp_path):
    touch(tmp_path / "images/a.jpg", tmp_path / "images/closed/b.jpg")
    for folder in (tmp_path / "images", tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o055)
    (tmp_path / "images/closed").chmod(0)
    said = as_another_user(lambda: list(walk(str(tmp_path / "images"), LeftOut())))
    assert said == f"cannot read the folder {tmp_path}/images/closed: Permission denied"


def as_another_user(act):
    """The message of the error that `act` raises for a user other than root."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            act()
        except DataError as error:
            os.write(writing, error.message.encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


def test_of_a_digest_nothing_is_an_error(tmp_path, monkeypatch):
    touch(tmp_path / "a.jpg", tmp_path / "closed/b.jpg")
    scandir = os.scandir

    def refused(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(DataError, match="Permission denied"):
        list(walk(str(tmp_path), LeftOut()))
    assert len(list(walk(str(tmp_path), LeftOut(), strict=False))) == 1
