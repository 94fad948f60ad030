from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from mainspring import processes
from mainspring.processes import Backoff, ending, in_child


def test_waits_double_to_half_a_minute():
    backoff = Backoff()
    waits = []
    for _ in range(9):
        backoff.start()
        waits.append(backoff.end())
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_after_a_steady_time_they_begin_anew(monkeypatch):
    backoff = Backoff()
    backoff.start()
    assert [backoff.end(), backoff.end()] == [0.5, 1]
    monkeypatch.setattr(processes, "_STEADY_SECONDS", 0.0)
    backoff.start()
    assert backoff.end() == 0.5


def test_a_child_is_in_a_session_of_its_own_and_as_nice_as_asked():
    code = "import os; print(os.getsid(0) == os.getpid(), os.nice(0))"
    found = subprocess.run([sys.executable, "-c", code], preexec_fn=in_child(3), stdout=subprocess.PIPE, check=True)
    assert found.stdout.split() == [b"True", str(os.nice(0) + 3).encode()]


def test_a_child_whose_parent_is_gone_already_does_not_begin():
    prepared = in_child()
    if sys.platform != "linux":
        pytest.skip("the kernel says so on Linux only")
    process = os.fork()
    if process == 0:  # a child's child: its parent is not this process, as if that had died
        code = subprocess.call([sys.executable, "-c", "print('begun')"], preexec_fn=prepared)
        os._exit(code)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 1


def test_endings_in_words():
    assert ending(0) == "exit code 0"
    assert ending(3) == "exit code 3"
    assert ending(-signal.SIGKILL) == "signal SIGKILL"
