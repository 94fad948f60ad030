from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

from projects import wait_until

SUPERVISOR = """
import sys
from mainspring.lifecycle.supervise import Part, Supervisor

folder = sys.argv[1]

def part(name, body, **options):
    head = "import os, signal, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\\\n'); "
    return Part(name, [sys.executable, "-c", head + body, f"{folder}/{name}"], **options)

parts = [
    part("steady", "time.sleep(600)"),
    part("failing", "sys.exit(7)"),
    part("once", "sys.exit(1)", once=True),
    part("nice", "open(sys.argv[1] + '.nice', 'w').write(str(os.nice(0))); time.sleep(600)", niceness=7),
    part("deaf", "signal.signal(signal.SIGTERM, signal.SIG_IGN); open(sys.argv[1] + '.deaf', 'w').close(); "
         "time.sleep(600)", stop_seconds=0.5),
]
Supervisor(parts, say=lambda line: print(line, flush=True)).run()
print("over", flush=True)
"""


def starts(folder, name):
    path = folder / name
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def alive(process):
    """Whether it runs; one that ended and was not yet waited for does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{process}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"
    return False


def supervise(start, folder):
    process = start("-c", SUPERVISOR, str(folder), stdout=subprocess.PIPE)
    wait_until(lambda: (folder / "deaf.deaf").exists() and (folder / "nice.nice").exists(), "all parts", 30)
    wait_until(lambda: starts(folder, "steady"), "the steady part")
    return process


def test_parts_are_kept_running_and_stopped_together(tmp_path, start):
    process = supervise(start, tmp_path)
    [steady] = starts(tmp_path, "steady")
    os.kill(steady, signal.SIGKILL)
    wait_until(lambda: len(starts(tmp_path, "steady")) == 2, "the part that died to be started again", 20)
    wait_until(lambda: len(starts(tmp_path, "failing")) >= 4, "the part that fails to be tried again", 20)
    assert len(starts(tmp_path, "once")) == 1
    assert int((tmp_path / "nice.nice").read_text()) == os.nice(0) + 7
    running = [starts(tmp_path, name)[-1] for name in ("steady", "nice", "deaf")]
    assert all(map(alive, running))
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=20)
    assert time.monotonic() - began >= 0.5
    assert process.returncode == 0
    assert said.endswith("over\n")
    assert not any(map(alive, running))
    assert "steady ended (signal SIGKILL); it is started again in 0.5 s" in said
    waits = [line.rpartition(" in ")[2] for line in said.splitlines() if line.startswith("failing ended (exit code 7)")]
    assert waits[:3] == ["0.5 s", "1 s", "2 s"]  # and so on, to half a minute
    assert "deaf did not stop within 0.5 s and is killed" in said
    assert "once" not in said


def test_ctrl_c_stops_the_parts_through_the_supervisor(tmp_path, start):
    process = supervise(start, tmp_path)
    running = [starts(tmp_path, name)[-1] for name in ("steady", "nice", "deaf")]
    assert all(os.getpgid(part) == part for part in running)  # so that a terminal's Ctrl-C does not reach them
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert not any(map(alive, running))


def test_a_killed_supervisor_leaves_no_orphans(tmp_path, start):
    """All but a part that refuses to end when it is asked to."""
    process = supervise(start, tmp_path)
    steady, nice, deaf = (starts(tmp_path, name)[-1] for name in ("steady", "nice", "deaf"))
    process.kill()
    process.wait()
    try:
        wait_until(lambda: not alive(steady) and not alive(nice), "the parts to end", 10)
        assert alive(deaf)
    finally:
        os.kill(deaf, signal.SIGKILL)
