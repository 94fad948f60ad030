"""An `Engine` that asks an engine's process over its socket.

    generate … ─┐                          ┌─ Piece … Done ─→ the stream that asked
    generate … ─┼─ one connection ─ host ──┤
    count …    ─┘                          └─ Number ───────→ the task that waits

It connects when it is first asked, and again after the process came back. What was under way when the process died ends
with `EngineGoneError`; nothing waits for ever.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TypeVar

import numpy as np

from mainspring.errors import EngineGoneError, RequestError
from mainspring.runtimes.language.frames import (
    PROTOCOL,
    Answer,
    Asked,
    Cancel,
    Clients,
    Count,
    Embed,
    Failed,
    Hello,
    Number,
    Piece,
    Splitter,
    Told,
    Vectors,
    error_of,
    frame,
)
from mainspring.runtimes.language.protocol import Capabilities, Delta, EngineInfo, Generate, Usage
from mainspring.runtimes.language.sockets import short, socket_path

__all__ = ["EngineClient", "socket_path"]

_T = TypeVar("_T", Number, Vectors)


class EngineClient:
    """Asks the engine whose process listens at `path`. All its methods are for one event loop.

    Args:
        path: see `socket_path`.
        connect_seconds: how long a process that listens may take to say hello.
        silence_seconds: how long a request may wait, in the queue and between two pieces.
    """

    def __init__(self, path: Path, *, connect_seconds: float = 10.0, silence_seconds: float = 600.0) -> None:
        self._path = path
        self._connect_seconds = connect_seconds
        self._silence_seconds = silence_seconds
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()
        self._hello: Hello | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do, as it said last. EngineGoneError before the first connection."""
        return self._said().capabilities

    @property
    def info(self) -> EngineInfo:
        """Which engine it is, as it said last. EngineGoneError before the first connection."""
        return self._said().info

    async def connect(self) -> Hello:
        """Make sure that the engine is there, and return who it is.

        Raises:
            EngineGoneError: its process does not answer.
        """
        await self._connected()
        return self._said()

    async def generate(self, request: Generate) -> AsyncGenerator[Delta | Usage, None]:
        """See `Engine.generate`."""
        connection = await self._connected()
        number = next(connection.numbers)
        waiting = connection.ask(Answer(number, request))
        complete = False
        try:
            while True:
                message = await waiting.next(self._silence_seconds)
                if isinstance(message, Piece):
                    yield message.piece
                    continue
                complete = True
                if isinstance(message, Failed):
                    raise error_of(message)
                return
        finally:
            connection.forget(number, cancel=not complete)

    async def count(self, request: Generate) -> int:
        """See `Engine.count`."""
        connection = await self._connected()
        return (await self._one(connection, Count(next(connection.numbers), request), Number)).number

    async def embed(self, texts: list[str] | list[list[int]]) -> tuple[np.ndarray, int]:
        """See `Engine.embed`."""
        connection = await self._connected()
        found = await self._one(connection, Embed(next(connection.numbers), list(texts)), Vectors)
        return np.frombuffer(found.data, np.float32).reshape(-1, found.width), found.tokens

    async def clients(self) -> int:
        """How many other clients are connected to the same process."""
        connection = await self._connected()
        return (await self._one(connection, Clients(next(connection.numbers)), Number)).number

    async def close(self) -> None:
        """Let go of the connection; what is under way is cancelled. It may be asked again, and connects again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _said(self) -> Hello:
        if self._hello is None:
            raise EngineGoneError("the engine was not reached yet: `await connect()` first")
        return self._hello

    async def _connected(self) -> _Connection:
        if self._connection is not None and not self._connection.lost:
            return self._connection
        async with self._connecting:
            if self._connection is None or self._connection.lost:
                self._connection, self._hello = await self._connect()
            return self._connection

    async def _connect(self) -> tuple[_Connection, Hello]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await loop.create_unix_connection(_Connection, str(short(self._path)))
                try:
                    hello = await connection.hello
                except BaseException:
                    connection.close()
                    raise
        except (OSError, TimeoutError) as error:
            raise EngineGoneError(
                "the model's engine does not answer: it is being started, or cannot be; `mainspring status` says which"
            ) from error
        return connection, hello

    async def _one(self, connection: _Connection, asked: Asked, kind: type[_T]) -> _T:
        """Ask what is answered by one frame."""
        waiting = connection.ask(asked)
        message: Told | None = None
        try:
            message = await waiting.next(self._silence_seconds)
        finally:
            connection.forget(asked.id, cancel=message is None)
        if isinstance(message, kind):
            return message
        raise (
            error_of(message)
            if isinstance(message, Failed)
            else EngineGoneError(f"the engine answered {type(message).__name__} where {kind.__name__} was expected")
        )


class _Waiting:
    """What has arrived for one request, and who waits for more. As much as is in an answer may lie here."""

    def __init__(self) -> None:
        self._arrived: deque[Told] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def put(self, message: Told) -> None:
        self._arrived.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self, seconds: float) -> Told:
        if not self._arrived:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(seconds):
                    await self._waiter
            except TimeoutError:
                raise EngineGoneError(f"the engine was silent for {seconds:g} s: it is overloaded, or hangs") from None
        return self._arrived.popleft()


class _Connection(asyncio.Protocol):
    """One connection to a host, and the requests on it."""

    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.hello: asyncio.Future[Hello] = asyncio.get_running_loop().create_future()
        self.lost = False
        self._splitter = Splitter[Told](Told)
        self._waiting: dict[int, _Waiting] = {}
        self._transport: asyncio.Transport

    def ask(self, asked: Asked) -> _Waiting:
        """Send `asked`; what comes back is put into the result."""
        sent = frame(asked)
        waiting = self._waiting[asked.id] = _Waiting()
        self._transport.write(sent)
        return waiting

    def forget(self, number: int, *, cancel: bool) -> None:
        """Whatever still comes back is not wanted; with `cancel`, the host is told."""
        if self._waiting.pop(number, None) is not None and cancel and not self.lost:
            self._transport.write(frame(Cancel(number)))

    def close(self) -> None:
        """End it."""
        self._end("the connection to the engine was closed")
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._splitter.feed(data):
                self._take(message)
        except RequestError as error:
            self._end(f"what the engine says cannot be understood: {error}")
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._end("the model's engine ended while it answered; it is being started again")

    def _take(self, message: Told) -> None:
        if isinstance(message, Hello):
            if message.protocol != PROTOCOL:
                raise RequestError(f"it speaks version {message.protocol}, and this is {PROTOCOL}: start both anew")
            self.hello.set_result(message)
        elif (waiting := self._waiting.get(message.id)) is not None:
            waiting.put(message)

    def _end(self, why: str) -> None:
        """Tell everybody who waits that nothing will come."""
        self.lost = True
        if not self.hello.done():
            self.hello.set_exception(ConnectionError(why))
        for number, waiting in self._waiting.items():
            waiting.put(Failed(number, "EngineGoneError", why, "$"))
