from __future__ import annotations

import os
import signal
import time

import pytest
from projects import wait_until

from mainspring.errors import RegistryError
from mainspring.files import lock, sha256, write_atomically

WRITER = """
import sys
from pathlib import Path
from mainspring.files import write_atomically
for turn in range(10**9):
    write_atomically(Path(sys.argv[1]), bytes([65 + turn % 26]) * 300_000)
"""
HOLDER = """
import sys, time
from pathlib import Path
from mainspring.files import lock
with lock(Path(sys.argv[1]), what="a fit"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_file_is_written_with_its_folder_and_replaced(tmp_path):
    path = tmp_path / "new" / "file.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.json"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.json"
    write_atomically(path, b"one")
    with pytest.raises(TypeError):
        write_atomically(path, "text is not bytes")
    assert path.read_bytes() == b"one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.json"]


def test_a_reader_and_a_kill_see_a_whole_file_only(tmp_path, start):
    path = tmp_path / "file"
    for delay in (0.0, 0.013, 0.037, 0.071):
        path.unlink(missing_ok=True)
        process = start("-c", WRITER, str(path))
        wait_until(path.exists, "the first write")
        deadline = time.monotonic() + delay
        while True:
            content = path.read_bytes()
            assert len(content) == 300_000
            assert len(set(content)) == 1
            if time.monotonic() >= deadline:
                break
        process.kill()
        process.wait()
        content = path.read_bytes()
        assert len(content) == 300_000
        assert len(set(content)) == 1


def test_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_second_holder_is_refused_and_told_who_holds_the_lock(tmp_path):
    with lock(tmp_path / "deep" / ".lock", what="a fit"):
        began = time.monotonic()
        with (
            pytest.raises(RegistryError, match=rf"^a fit is already under way \(process {os.getpid()}\): wait for it"),
            lock(tmp_path / "deep" / ".lock", what="a fit", timeout=0.2),
        ):
            pytest.fail("it was let in")
        assert time.monotonic() - began >= 0.2
    with lock(tmp_path / "deep" / ".lock", what="a fit"):
        pass


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path, start):
    path = tmp_path / ".lock"
    process = start("-c", HOLDER, str(path), stdout=-1)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(RegistryError, match=f"process {process.pid}"), lock(path, what="a fit"):
        pytest.fail("it was let in")
    process.send_signal(signal.SIGKILL)
    process.wait()
    with lock(path, what="a fit"):
        assert path.read_text() == str(os.getpid())


def test_who_waits_gets_the_lock_when_it_is_free(tmp_path, start):
    path = tmp_path / ".lock"
    process = start("-c", HOLDER.replace("600", "0.3"), str(path), stdout=-1)
    process.stdout.readline()
    with lock(path, what="a fit", timeout=20):
        assert path.read_text() == str(os.getpid())
