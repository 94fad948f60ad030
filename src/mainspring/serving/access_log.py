"""The access log: one JSON line a request on standard output, written a few times a second so that it costs little."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import BinaryIO

import msgspec
from prometheus_client import Counter

from mainspring.serving.messages import Request
from mainspring.serving.writing import Writing

# lines, those that are being written too; about 15 MB. A reader that hangs costs us lines, but no memory without end
_MOST_HELD = 50_000
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
        self._writing = Writing("access-log")
        self._being_written = 0
        self._dropped = dropped

    def add(self, request: Request, status: int, seconds: float, size: int) -> None:
        """Note a request that is over."""
        if len(self._entries) + (self._being_written if self._writing.busy else 0) >= _MOST_HELD:
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
        if self._entries and not self._writing.busy:
            entries, self._entries = self._entries, []
            self._being_written = len(entries)
            self._writing.begin(partial(self._write, entries))

    async def close(self, seconds: float = 2.0) -> None:
        """Write the rest, and give up on a reader that has hung for `seconds`."""
        await self._writing.close(self.flush, seconds)

    def _write(self, entries: list[Entry]) -> None:
        try:
            self._stream.write(self._encoder.encode_lines(entries))
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads any more, or the stream is closed
            self._dropped.inc(len(entries))
