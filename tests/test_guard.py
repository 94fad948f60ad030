import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from projects import wait_until

TESTS = """
import subprocess, sys, time
import guard
guard.begin()
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def runs(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_what_a_killed_process_has_started_is_ended():
    folder = Path(__file__).parent
    killed = subprocess.Popen([sys.executable, "-c", TESTS], cwd=folder, stdout=subprocess.PIPE)
    child = int(killed.stdout.readline())
    time.sleep(1.0)
    assert runs(child)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    wait_until(lambda: not runs(child), "the end of what it started")
