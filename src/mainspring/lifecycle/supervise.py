"""Keeps a service's processes running: gateway workers, the follower, and a fit beside them.

    mainspring up ── supervisor ─┬─ gateway worker … (share one listening socket)
                                 ├─ follower        (carries promotions over from MLflow)
                                 └─ fit             (once, with low priority)

The socket is bound before and handed on, so that a worker that dies takes no waiting connection with it. What dies is
started again, each time after a longer wait; on SIGINT or SIGTERM all are asked to stop, and finish what has begun.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mainspring.processes import Backoff, ending, in_child

_POLL_SECONDS = 0.1


@dataclass
class Part:
    """One process to keep running; with `once`, only to its end. It is started `delay` seconds after the first."""

    name: str
    arguments: Sequence[str]
    once: bool = False
    niceness: int = 0
    delay: float = 0.0
    stop_seconds: float = 30.0
    process: subprocess.Popen[bytes] | None = None
    backoff: Backoff = field(default_factory=Backoff)
    due: float = 0.0
    over: bool = field(default=False)


class Supervisor:
    """Runs `parts` until it is told to stop.

    Args:
        parts: what to run.
        descriptors: open files that every part inherits, such as the listening socket.
        say: is told what happens, a line at a time.
        on_end: is told the number of each process that has ended.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        descriptors: Sequence[int] = (),
        say: Callable[[str], None],
        on_end: Callable[[int], None] = lambda pid: None,
    ) -> None:
        self._parts = list(parts)
        self._descriptors = tuple(descriptors)
        self._say = say
        self._on_end = on_end
        self._stopping = False

    def run(self) -> None:
        """Return when SIGINT or SIGTERM came and every part has ended."""
        previous = {sign: signal.signal(sign, self._on_signal) for sign in (signal.SIGINT, signal.SIGTERM)}
        for part in self._parts:
            part.due = time.monotonic() + part.delay
        try:
            while not self._stopping:
                for part in self._parts:
                    self._look_after(part)
                time.sleep(_POLL_SECONDS)
        finally:
            self._stop_all()
            for sign, handler in previous.items():
                signal.signal(sign, handler)

    def _on_signal(self, sign: int, frame: object) -> None:
        self._stopping = True

    def _look_after(self, part: Part) -> None:
        now = time.monotonic()
        if part.process is None:
            if not part.over and now >= part.due:
                self._start(part)
            return
        code = part.process.poll()
        if code is None:
            return
        self._on_end(part.process.pid)
        part.process = None
        if part.once:
            part.over = True
            return
        wait = part.backoff.end()
        part.due = now + wait
        self._say(f"{part.name} ended ({ending(code)}); it is started again in {wait:g} s")

    def _start(self, part: Part) -> None:
        part.process = subprocess.Popen(
            part.arguments,
            pass_fds=self._descriptors,
            preexec_fn=in_child(part.niceness),
            stdin=subprocess.DEVNULL,
        )
        part.backoff.start()

    def _stop_all(self) -> None:
        running = [(part, part.process) for part in self._parts if part.process is not None]
        for _, process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for part, process in running:
            try:
                process.wait(part.stop_seconds)
            except subprocess.TimeoutExpired:
                self._say(f"{part.name} did not stop within {part.stop_seconds:g} s and is killed")
                process.kill()
                process.wait()
