"""An engine in a process of its own: what answers on its socket.

A client that goes away takes its requests with it. One that does not read what it asked for is left: the requests of
others must not wait for it, and what it does not read must not fill this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from contextlib import aclosing
from pathlib import Path

import numpy as np

from mainspring.errors import EngineGoneError, MainspringError, OverloadedError, RequestError
from mainspring.runtimes.language.frames import (
    PROTOCOL,
    Answer,
    Asked,
    Cancel,
    Clients,
    Count,
    Done,
    Embed,
    Hello,
    Number,
    Piece,
    Splitter,
    Told,
    Vectors,
    failed,
    frame,
)
from mainspring.runtimes.language.protocol import Engine
from mainspring.runtimes.language.sockets import Listener

log = logging.getLogger("mainspring.engine")

_UNREAD_BYTES = 1024**2
_UNREAD_SECONDS = 10.0
_MOST_REQUESTS = 4096  # of one client at the same time
_POLL_SECONDS = 0.05
_LOOK_SECONDS = 0.25


async def serve(engine: Engine, path: Path, *, grace_seconds: float = 30.0) -> None:
    """Answer at `path` until SIGTERM or SIGINT; what is under way then has `grace_seconds` to end.

    Raises:
        BusyError, RuntimeLoadError: there can be no socket at `path`.
        EngineGoneError: the engine broke for good, as its attribute `broken` says: only another process helps.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stopping.set)
    host = Host(engine)
    listener = Listener(path)
    server = await loop.create_unix_server(lambda: _Connection(host), sock=listener.socket)
    try:
        while not stopping.is_set():
            if broken := getattr(engine, "broken", None):
                raise EngineGoneError(broken)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _LOOK_SECONDS)
    finally:
        server.close()
        listener.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                while host.busy:
                    await asyncio.sleep(_POLL_SECONDS)
        await host.close()


class Host:
    """An engine, and the clients that are connected."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.connections: set[_Connection] = set()

    @property
    def busy(self) -> bool:
        """Whether any request is under way."""
        return any(connection.busy for connection in self.connections)

    async def close(self) -> None:
        """Cancel what is under way, and let go of the engine."""
        tasks = [task for connection in self.connections for task in connection.end()]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.engine.close()


class _Connection(asyncio.Protocol):
    """One client. What several requests say in one turn of the event loop is sent at once."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._splitter = Splitter[Asked](Asked)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._unsent: list[bytes] = []
        self._readable = asyncio.Event()
        self._readable.set()
        self._patience: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> bool:
        """Whether a request of this client is under way."""
        return bool(self._tasks)

    def end(self) -> list[asyncio.Task[None]]:
        """Cancel what is under way, and close; the tasks that are ending."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        self._transport.close()
        return tasks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._transport.set_write_buffer_limits(high=_UNREAD_BYTES)
        self._host.connections.add(self)
        self._send(Hello(PROTOCOL, self._host.engine.capabilities, self._host.engine.info))

    def connection_lost(self, error: Exception | None) -> None:
        self._host.connections.discard(self)
        self._stop_waiting()
        for task in self._tasks.values():
            task.cancel()

    def pause_writing(self) -> None:
        self._readable.clear()
        self._patience = self._loop.call_later(_UNREAD_SECONDS, self._leave)

    def resume_writing(self) -> None:
        self._readable.set()
        self._stop_waiting()

    def data_received(self, data: bytes) -> None:
        try:
            for asked in self._splitter.feed(data):
                self._take(asked)
        except RequestError as error:
            log.error("a client is left: %s", error)
            self._transport.abort()

    def _leave(self) -> None:
        log.error("a client is left: it did not read for %g s what it asked for", _UNREAD_SECONDS)
        self._transport.abort()

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _take(self, asked: Asked) -> None:
        if isinstance(asked, Cancel):
            if task := self._tasks.get(asked.id):
                task.cancel()
        elif isinstance(asked, Clients):
            self._send(Number(asked.id, len(self._host.connections) - 1))
        elif asked.id in self._tasks:
            raise RequestError(f"number {asked.id} was used for two requests at the same time")
        elif len(self._tasks) >= _MOST_REQUESTS:
            error = OverloadedError(f"{_MOST_REQUESTS} requests are under way: try again later")
            self._send(failed(asked.id, error))
        else:
            task = self._tasks[asked.id] = self._loop.create_task(self._answer(asked))
            task.add_done_callback(lambda _: self._tasks.pop(asked.id))

    async def _answer(self, asked: Answer | Count | Embed) -> None:
        engine = self._host.engine
        try:
            if isinstance(asked, Answer):
                async with aclosing(engine.generate(asked.request)) as pieces:
                    async for piece in pieces:
                        self._send(Piece(asked.id, piece))
                        await self._readable.wait()
                self._send(Done(asked.id))
            elif isinstance(asked, Count):
                self._send(Number(asked.id, await engine.count(asked.request)))
            else:
                vectors, tokens = await engine.embed(asked.texts)  # type: ignore[arg-type]
                await self._readable.wait()
                data = np.ascontiguousarray(vectors, np.float32)
                self._send(Vectors(asked.id, data.shape[1], data.tobytes(), tokens))
        except Exception as error:
            if not isinstance(error, MainspringError):
                log.exception("the engine failed at a request")
            self._send(failed(asked.id, error))

    def _send(self, told: Told) -> None:
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(frame(told))

    def _flush(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()
