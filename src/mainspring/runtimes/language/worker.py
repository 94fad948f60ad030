"""The thread that a backend runs on.

Jobs and cancellations come from the event loop through one list under a lock; events go back to it in one call a step,
however many jobs there are. A backend may hold Python's interpreter lock while it computes (OpenVINO does, for all of a
step), so between two steps the thread waits until the event loop has taken its turn: who has just asked is then in the
next step, and not in one of the thirty after it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from mainspring.errors import EngineGoneError, MainspringError, OverloadedError
from mainspring.runtimes.language.backend import Backend, Event, Job
from mainspring.runtimes.language.turns import Turns

log = logging.getLogger("mainspring.engine")

_LOOPS_TURNS = 2  # what is read from sockets in one of them is worked on in the next
_LONGEST_TURN = 0.05  # seconds, of many that ask at once; others wait for their next token meanwhile


class Worker:
    """Runs a backend for jobs that come from one event loop.

    Args:
        backend: what runs them.
        deliver: takes the events of a step, on the event loop that submitted the jobs.
        queue: the most jobs that may wait.
    """

    def __init__(self, backend: Backend, deliver: Callable[[list[Event]], None], *, queue: int) -> None:
        self._backend = backend
        self._deliver = deliver
        self._queue = queue
        self._turns = Turns(backend.abilities)
        self._inbox: list[tuple[int, Job | None]] = []  # a job to be done, or a number to be cancelled
        self._wake = threading.Condition()
        self._closing = False
        self._turned = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.broken: str | None = None

    def submit(self, jobs: dict[int, Job]) -> None:
        """Put jobs into the queue: all of them, or none.

        Raises:
            OverloadedError: it is full.
            EngineGoneError: the backend broke, or is closed.
        """
        if self.broken or self._closing:
            raise EngineGoneError(self.broken or "the engine is closed")
        with self._wake:
            self._loop = asyncio.get_running_loop()
            waiting = len(self._turns) + sum(job is not None for _, job in self._inbox)
            if waiting + len(jobs) > self._queue:
                raise OverloadedError(
                    f"{waiting} answers wait already, and {self._queue} may, so there is no room for {len(jobs)} more: "
                    "try again later"
                )
            self._inbox += jobs.items()
            self._wake.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
            self._thread.start()

    def cancel(self, numbers: list[int]) -> None:
        """Forget jobs, whether they wait, run, or ended long ago."""
        with self._wake:
            self._inbox += [(number, None) for number in numbers]
            self._wake.notify()

    def close(self) -> None:
        """End the thread, and the backend. Jobs that are not done get an error."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread:
            self._thread.join()
        else:
            self._backend.close()

    def _run(self) -> None:
        alive: set[int] = set()  # jobs that wait or run
        running: set[int] = set()  # what the backend has: jobs, and pieces of them
        try:
            while self._listen(alive, running):
                events = self._start(running)
                if running:
                    events += self._backend.step()
                self._follow(events, alive, running)
        except Exception as error:
            log.exception("the engine broke")
            self.broken = f"the engine broke: {error}"
        finally:
            gone = EngineGoneError(self.broken or "the engine is closed")
            with self._wake:
                self._closing = True
                alive.update(number for number, job in self._inbox if job is not None)
            self._tell([Event(number, error=gone) for number in alive])
            self._backend.close()

    def _listen(self, alive: set[int], running: set[int]) -> bool:
        """Take what has come in, waiting for it if there is nothing else to do. False if the engine is to be closed."""
        with self._wake:
            while not (self._inbox or alive or running or self._closing):
                self._wake.wait()
            if self._closing:
                return False
            inbox, self._inbox = self._inbox, []
        for number, job in inbox:
            if job is not None:
                self._turns.add(number, job)
                alive.add(number)
            elif number in alive:
                alive.discard(number)
                self._turns.remove(number)
                if number in running:
                    running.discard(number)
                    self._backend.cancel(number)
        return True

    def _start(self, running: set[int]) -> list[Event]:
        events = []
        for turn in self._turns.take():
            try:
                self._backend.submit(turn.number, turn.job)
            except MainspringError as error:
                events.append(Event(turn.number, error=error))
            else:
                running.add(turn.number)
                if not turn.piece:
                    events.append(Event(turn.number, cached=turn.cached))
        return events

    def _follow(self, events: list[Event], alive: set[int], running: set[int]) -> None:
        for event in events:
            if event.tokens:
                self._turns.began(event.job)
            if event.finish or event.error:
                self._turns.remove(event.job)
                running.discard(event.job)
                alive.discard(event.job)
        if told := [event for event in events if event.job >= 0]:
            self._tell(told)
        for _ in range(_LOOPS_TURNS):
            self._turned.clear()
            self._call(self._turned.set)
            self._turned.wait(_LONGEST_TURN)

    def _tell(self, events: list[Event]) -> None:
        self._call(self._deliver, events)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        """Have the event loop do it."""
        assert self._loop is not None
        with suppress(RuntimeError):  # it is closed, and nobody listens
            self._loop.call_soon_threadsafe(function, *arguments)
