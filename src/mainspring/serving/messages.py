"""A request and a reply, as the gateway passes them around: plain, and cheap to make.

Starlette's own classes serve the readable pages. The endpoints that answer with a model carry the traffic, and go
without.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter, time
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from mainspring.serving.ids import new_id

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


_TOO_SLOW = "the body is too slow"


class ClientGoneError(Exception):
    """The client hung up before its answer was complete; there is nobody to answer."""


class BodyTooLargeError(Exception):
    """The body is larger than the limit."""


class Request:
    """One HTTP request. `unique` is our id for it, `id` the one that the client sees, which may be the client's own.

    `model`, `version`, `rows` and `key` are filled in along the way, for log and metrics.
    """

    __slots__ = (
        "_receive",
        "body",
        "headers",
        "id",
        "key",
        "method",
        "model",
        "path",
        "rows",
        "scope",
        "seen",
        "started",
        "unique",
        "version",
    )

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.started = perf_counter()
        self.seen = time()
        self.unique = new_id()
        self.id = self.unique
        self.model = self.version = self.key = ""
        self.rows = 0
        self._receive = receive
        self.body = b""

    async def read(self, limit: int, seconds: float) -> None:
        """Read the whole body into `body`.

        Raises:
            BodyTooLargeError: it has more than `limit` bytes, or says so.
            TimeoutError: it was not there after `seconds`.
            ClientGoneError: the client hung up.
        """
        if int(self.headers.get(b"content-length", b"0")) > limit:
            raise BodyTooLargeError
        # As asyncio.timeout does it, at a quarter of the cost: this is on the way of every request.
        task = asyncio.current_task()
        assert task is not None
        timer = asyncio.get_running_loop().call_later(seconds, task.cancel, _TOO_SLOW)
        try:
            self.body = await self._read(limit)
        except asyncio.CancelledError as error:
            if error.args != (_TOO_SLOW,):
                raise
            task.uncancel()
            raise TimeoutError from None
        finally:
            timer.cancel()

    async def _read(self, limit: int) -> bytes:
        message = await self._receive()
        body = message.get("body", b"")
        if message.get("more_body"):
            parts, size = [body], len(body)
            while message.get("more_body"):
                if size > limit:
                    raise BodyTooLargeError
                message = await self._receive()
                parts.append(message.get("body", b""))
                size += len(parts[-1])
            body = b"".join(parts)
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        if len(body) > limit:
            raise BodyTooLargeError
        return body

    @asynccontextmanager
    async def unless_gone(self) -> AsyncIterator[None]:
        """End what is in this block at once when the client hangs up. After `read` only, by the request's own task.

        Raises:
            ClientGoneError: it did.
        """
        task = asyncio.current_task()
        assert task is not None
        gone = False

        def hung_up(watch: asyncio.Task[None]) -> None:
            nonlocal gone
            if not watch.cancelled():
                gone = True
                task.cancel()

        watch = asyncio.create_task(self._gone())
        watch.add_done_callback(hung_up)
        try:
            yield
        except asyncio.CancelledError:
            if not gone or task.uncancel():  # somebody else ends this task, too
                raise
            raise ClientGoneError from None
        finally:
            watch.remove_done_callback(hung_up)
            watch.cancel()

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def replayed(self) -> Receive:
        """ASGI's `receive` for an application behind us: the body that was read, then what the server says."""
        waiting: list[Message] = [{"type": "http.request", "body": self.body, "more_body": False}]

        async def receive() -> Message:
            return waiting.pop() if waiting else await self._receive()

        return receive

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; of one given twice, the last."""
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True))

    @property
    def media_type(self) -> str:
        """The content type without parameters; empty if there is none."""
        return self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")


class Reply:
    """One answer. `headers` come on top of the content's type and length and the request id."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self, status: int, body: bytes, *, content_type: bytes = b"application/json", headers: Headers = ()
    ) -> None:
        self.status, self.body, self.content_type, self.headers = status, body, content_type, headers


@dataclass(slots=True)
class StreamedReply:
    """An answer that goes out as it is made: its `first` piece, then the others. Closing `pieces` ends the work on it.

    `failure` writes the last piece from the `Problem` that there is in the middle; the status, 200, is out by then.
    """

    first: bytes
    pieces: AsyncGenerator[bytes, None]
    failure: Callable[[Any], bytes]
    content_type: bytes
    headers: Headers = ()
