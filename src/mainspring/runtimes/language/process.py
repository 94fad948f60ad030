"""One engine's process, kept alive: started, asked until it answers, started anew after it died, stopped at the end."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from mainspring.errors import EngineGoneError, MainspringError
from mainspring.processes import Backoff, ending, in_child
from mainspring.runtimes.language.client import EngineClient
from mainspring.runtimes.language.protocol import EngineInfo

_POLL_SECONDS = 0.1
_LOAD_SECONDS = 1800.0
_SILENCE_SECONDS = 10.0
_TAIL_BYTES = 4096
_LAST_WORDS_SECONDS = 0.5

State: TypeAlias = Literal["queued", "loading", "running", "waiting", "stopping"]


class ProcessStatus(msgspec.Struct, frozen=True):
    """How a process is.

    `since` is when it came to be so, `restarts` how often it was started again, and `reason` why it ended last.
    """

    state: State
    since: str
    pid: int | None = None
    restarts: int = 0
    reason: str | None = None
    info: EngineInfo | None = None


class EngineProcess:
    """Keeps the engine alive that answers at `socket`.

    Args:
        name: what it is called in messages.
        socket: where it will answer.
        command: gives what to run. It is called on another thread before each start, and may raise a MainspringError.
        starting: held while it loads, so that engines load one after the other.
        stop_seconds: how long it may take to stop.
        say: is told what happens, a line at a time.
        on_change: is called whenever `status` is another one.
    """

    def __init__(
        self,
        name: str,
        socket: Path,
        command: Callable[[], Sequence[str]],
        *,
        starting: asyncio.Lock,
        stop_seconds: float,
        say: Callable[[str], None],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.client = EngineClient(socket, silence_seconds=_SILENCE_SECONDS)
        self.status = ProcessStatus("queued", _now())
        self._command = command
        self._starting = starting
        self._stop_seconds = stop_seconds
        self._say = say
        self._on_change = on_change
        self._backoff = Backoff()

    async def keep(self) -> None:
        """Keep it running until this task is cancelled, and stop it then."""
        while True:
            self._backoff.start()
            try:
                reason = await self._run()
            except (MainspringError, OSError) as error:
                reason = f"cannot be started: {error}"
            wait = self._backoff.end()
            self._say(f"the engine of {self.name} {reason}; it is started again in {wait:g} s")
            self._change("waiting", restarts=self.status.restarts + 1, reason=reason, pid=None)
            await asyncio.sleep(wait)

    async def _run(self) -> str:
        """Start it, and return how it ended."""
        process: asyncio.subprocess.Process | None = None
        try:
            async with self._starting:
                self._change("loading")
                command = await asyncio.to_thread(self._command)
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    preexec_fn=in_child(),
                )
                said = _Said(process.stderr)
                self._change("loading", pid=process.pid)
                if await self._answers(process):
                    self._change("running", info=self.client.info)
                    self._say(
                        f"the engine of {self.name} answers: {self.client.info.engine}, {self.client.info.detail}"
                    )
            code = await process.wait()
            return f"ended ({ending(code)}){await said.last_line()}"
        finally:
            if process is not None:
                await self._stop(process)

    async def _answers(self, process: asyncio.subprocess.Process) -> bool:
        """Wait until it answers; False if it ended before."""
        try:
            async with asyncio.timeout(_LOAD_SECONDS):
                while process.returncode is None:
                    with contextlib.suppress(EngineGoneError):
                        await self.client.connect()
                        return True
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            process.kill()
        return False

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        await self.client.close()
        if process.returncode is not None:
            return
        self._change("stopping")
        process.terminate()
        try:
            async with asyncio.timeout(self._stop_seconds):
                await process.wait()
        except TimeoutError:
            self._say(f"the engine of {self.name} did not stop within {self._stop_seconds:g} s and is killed")
            process.kill()
            await process.wait()

    def _change(self, state: State, **changes: object) -> None:
        self.status = msgspec.structs.replace(self.status, state=state, since=_now(), **changes)
        self._on_change()


class _Said:
    """Passes on to stderr what a process writes there, and remembers the end of it."""

    def __init__(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        self._tail = b""
        self._reading = asyncio.create_task(self._read(stream))

    async def last_line(self) -> str:
        """The last line, after a colon; empty if there is none."""
        await asyncio.wait([self._reading], timeout=_LAST_WORDS_SECONDS)  # its own children may hold the stream open
        lines = [line for line in self._tail.decode(errors="replace").splitlines() if line.strip()]
        return f": {lines[-1].strip()}" if lines else ""

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while said := await stream.read(_TAIL_BYTES):
            sys.stderr.buffer.write(said)
            sys.stderr.buffer.flush()
            self._tail = (self._tail + said)[-_TAIL_BYTES:]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
