"""The access log: one JSON line a request on standard output, written a few times a second so that it costs little."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import BinaryIO

import msgspec
from prometheus_client import Counter

from mainspring.serving.messages import Request

_MOST_WAITING = 50_000  # lines; about 15 MB. A reader that hangs may cost us lines, but never memory without end
_LONGEST_PATH = 256


class Entry(msgspec.Struct, omit_defaults=True, gc=False):
    """One request. `bytes` are those of the answer's body; `key` is the name of the API key, never the key."""

    time: datetime
    request_id: str
    method: str
    path: str
    status: int
    seconds: float
    bytes: int
    model: str = ""
    version: str = ""
    rows: int = 0
    key: str = ""


class AccessLog:
    """Collects entries and writes them in a thread of its own, so that a slow reader does not slow the gateway.

    `dropped` counts the lines that could not be written.
    """

    def __init__(self, stream: BinaryIO, dropped: Counter) -> None:
        self._stream = stream
        self._entries: list[Entry] = []
        self._encoder = msgspec.json.Encoder()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="access-log")
        self._writing: asyncio.Future[None] | None = None
        self._dropped = dropped

    def add(self, request: Request, status: int, seconds: float, size: int) -> None:
        """Note a request that is over."""
        if len(self._entries) >= _MOST_WAITING:
            self._dropped.inc()
            return
        self._entries.append(
            Entry(
                datetime.fromtimestamp(request.seen, UTC),
                request.id,
                request.method,
                request.path[:_LONGEST_PATH],
                status,
                round(seconds, 6),
                size,
                request.model,
                request.version,
                request.rows,
                request.key,
            )
        )

    def flush(self) -> None:
        """Begin to write what there is, unless the last write is still under way."""
        if self._entries and (self._writing is None or self._writing.done()):
            entries, self._entries = self._entries, []
            self._writing = asyncio.get_running_loop().run_in_executor(self._writer, self._write, entries)

    async def close(self, seconds: float = 2.0) -> None:
        """Write the rest, and give up on a reader that has hung for `seconds`."""
        for _ in range(2):  # what is being written, and what came since
            if self._writing is not None:
                await asyncio.wait([self._writing], timeout=seconds)
            self.flush()
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=seconds)
        self._writer.shutdown(wait=False, cancel_futures=True)

    def _write(self, entries: list[Entry]) -> None:
        try:
            self._stream.write(self._encoder.encode_lines(entries))
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads any more, or the stream is closed
            self._dropped.inc(len(entries))
