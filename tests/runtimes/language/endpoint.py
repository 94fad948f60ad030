"""A real HTTP server on loopback that says what a test lets it say, byte by byte: also what no framework would send."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

RESET = object()  # in place of a piece: the connection is reset here


@dataclass
class Reply:
    """What is answered: `pieces` of a chunked body, `pause` seconds apart. `cut` leaves out the closing chunk."""

    pieces: Sequence[Any] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0
    cut: bool = False
    silent: bool = False  # not even a status


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: Any


class Endpoint:
    """Replies in turn, the last one again and again. `requests` are those that came, `left` counts the unheard."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[Request] = []
        self.left = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def say(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests.clear()
        self.left = 0

    @contextmanager
    def running(self) -> Iterator[Endpoint]:
        self._thread.start()
        self._ready.wait()
        yield self
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        tasks = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            tasks.add(task)
            try:
                await self._connection(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                tasks.discard(task)
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            original = dict(line.split(": ", 1) for line in head[1:] if line)
            named = {name.lower(): value for name, value in original.items()}
            self.requests.append(Request(head[0].split()[1], named, json.loads(body)))
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            if not await self._reply(reader, writer, reply):
                return

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply) -> bool:
        """Whether the connection is still good."""
        if reply.silent:
            await self._gone(reader, reply.pause)
            return False
        headers = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"} | reply.headers
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {reply.status} X\r\n{lines}\r\n".encode())
        for piece in reply.pieces:
            if piece is RESET:
                writer.transport.abort()
                return False
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
            if reply.pause and await self._gone(reader, reply.pause):
                self.left += 1
                return False
        if reply.cut:
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _gone(self, reader: asyncio.StreamReader, seconds: float) -> bool:
        """Wait; whether the client goes away meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                return not await reader.read(1)
        except TimeoutError:
            return False


def event(data: Any) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def stream(*events: Any, **options: Any) -> Reply:
    """A stream of these events and `[DONE]`, each in a chunk of its own."""
    return Reply([*map(event, events), event(b"[DONE]")], **options)


def chat(text: str = "", finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    """One event of a chat completion, as vLLM sends it."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": index, "delta": {"content": text} | more, "logprobs": None, "finish_reason": finish}],
    }


USAGE = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "choices": [],
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "total_tokens": 11,
        "prompt_tokens_details": {"cached_tokens": 4},
    },
}
HELLO = stream(chat(role="assistant"), chat("Hel"), chat("lo"), chat(finish="stop"), USAGE)


def refusal(status: int, message: str = "no", headers: dict[str, str] | None = None, **error: Any) -> Reply:
    body = json.dumps({"error": {"message": message, "type": None, "param": None, "code": None} | error}).encode()
    return Reply([body], status, {"Content-Type": "application/json"} | (headers or {}))
