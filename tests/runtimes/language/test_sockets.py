from __future__ import annotations

import os
import shutil
import socket
import stat
from pathlib import Path

import pytest

from mainspring.errors import BusyError, RuntimeLoadError
from mainspring.runtimes.language.sockets import Listener, short, socket_path


@pytest.fixture
def folder():
    """A folder whose path is short enough for sockets."""
    path = Path(f"/tmp/ms-{os.getpid()}")
    path.mkdir()
    yield path
    shutil.rmtree(path)


def answers(path):
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(str(short(path)))
        except OSError:
            return False
        return True


def test_a_version_has_a_path_of_its_own(tmp_path):
    paths = {socket_path(tmp_path, model, version) for model in ("a", "a-1") for version in ("1", "11")}
    assert len(paths) == 4
    assert all(path.parent == tmp_path / "engines" for path in paths)


@pytest.mark.parametrize("length", [0, 30, 60, 200])
def test_it_listens_however_long_the_path_is(folder, length):
    path = folder / ("d" * length) / "a.sock"
    assert not answers(path)
    listener = Listener(path)
    try:
        assert answers(path)
        assert stat.S_IMODE(short(path).stat().st_mode) == 0o600
        assert len(os.fsencode(short(path))) <= 90
        assert (short(path) == path) is (length < 70)
    finally:
        listener.close()
    assert not short(path).exists()


def test_paths_that_differ_only_at_their_ends_stay_apart(folder):
    one, other = folder / ("d" * 100) / "a.sock", folder / ("d" * 100) / "b.sock"
    assert short(one) != short(other)
    assert short(one).parent == short(other).parent
    listener = Listener(one)
    listener.close()
    assert stat.S_IMODE(short(one).parent.stat().st_mode) == 0o700


def test_a_relative_path_is_the_same_place(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert short(Path("a.sock")) == short(folder / "a.sock")
    assert short(Path("d" * 100)) == short(folder / ("d" * 100))


def test_the_file_of_a_dead_process_is_replaced(folder):
    path = folder / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listener = Listener(path)
    assert answers(path)
    listener.close()
    path.write_text("not even a socket")
    listener = Listener(path)
    assert answers(path)
    listener.close()
    assert list(folder.iterdir()) == []


def test_one_that_listens_is_not_pushed_aside(folder):
    path = folder / "a.sock"
    listener = Listener(path)
    with pytest.raises(BusyError, match=r"listens at .*a\.sock already"):
        Listener(path)
    assert answers(path)
    listener.close()


def test_a_file_that_is_another_process_s_by_now_stays(folder):
    path = folder / "a.sock"
    first = Listener(path)
    path.unlink()
    second = Listener(path)
    first.close()
    assert answers(path)
    second.close()
    assert not path.exists()


def test_where_there_can_be_no_socket_it_says_so(folder):
    (folder / "file").write_text("")
    with pytest.raises(RuntimeLoadError, match="no socket can be made at"):
        Listener(folder / "file" / "a.sock")


def test_a_folder_under_tmp_that_others_may_enter_is_not_used(folder, monkeypatch):
    """Somebody else could have put a socket of their own there, and would read every prompt."""
    monkeypatch.setattr("mainspring.runtimes.language.sockets.short", lambda path: folder / "shared" / "a.sock")
    (folder / "shared").mkdir()
    (folder / "shared").chmod(0o777)
    with pytest.raises(RuntimeLoadError, match="not a folder of this user alone"):
        Listener(folder / "far" / "a.sock")
    (folder / "shared").rmdir()
    (folder / "own").mkdir(mode=0o700)
    (folder / "shared").symlink_to(folder / "own")
    with pytest.raises(RuntimeLoadError, match="not a folder of this user alone"):
        Listener(folder / "far" / "a.sock")
