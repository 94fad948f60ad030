"""What a killed pytest leaves behind is ended, too.

Fixtures end what they started, but a process that is killed runs none. So another one waits for its end, and then kills
all that have inherited a token: children, children's children, and those that went into sessions of their own. It looks
into `/proc`, and so does nothing elsewhere than on Linux.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

_TOKEN = "MAINSPRING_TESTS"
_POLL_SECONDS = 0.5
_guards: list[subprocess.Popen] = []  # kept, for one that is forgotten while it runs is warned of


def begin() -> None:
    """From now on, what this process starts does not outlive it."""
    os.environ.pop(_TOKEN, None)  # the guard of this process must not be killed by another
    token = f"{_TOKEN}={uuid4().hex}"
    command = [sys.executable, "-S", __file__, str(os.getpid()), token]
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    _guards.append(subprocess.Popen(command, start_new_session=True, **quiet))
    os.environ[_TOKEN] = token.partition("=")[2]


def bearers(token: bytes) -> list[int]:
    """The processes that began with this entry in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it is gone, or not ours
            if token in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def main(parent: int, token: bytes) -> None:
    """Wait for the end of `parent`, and kill what bears the token, and what that has started meanwhile."""
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    while left := bearers(token):
        for process in left:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2].encode())
