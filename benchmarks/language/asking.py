"""A client for measuring: one streamed completion of OpenAI's API over a connection of its own, at next to no cost.

The official client parses and validates every piece, which on two cores takes time from the server that is measured.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Answer:
    """What came back.

    `times`: when each piece of text came, in seconds since the request was sent; `seconds`: when all was there.
    """

    status: int
    text: str = ""
    times: list[float] = field(default_factory=list)
    seconds: float = 0.0
    usage: dict[str, Any] = field(default_factory=dict)
    finish: str | None = None
    error: str | None = None

    @property
    def first(self) -> float:
        """Seconds until the first piece of text."""
        return self.times[0]

    @property
    def last(self) -> float:
        """Seconds until the last one."""
        return self.times[-1]

    @property
    def tokens(self) -> int:
        """How many tokens the answer has, as the server counts."""
        return int(self.usage["completion_tokens"])


async def ask(
    url: str, body: dict[str, Any], *, leave_after: float | None = None, socket: Path | None = None
) -> Answer:
    """Post `body` to `url` as a stream with usage, and read it to its end.

    `leave_after`: seconds after which the client closes the connection, whatever has come. `socket`: a Unix socket to
    connect to, in place of the URL's host.
    """
    place = urlsplit(url)
    payload = json.dumps(body | {"stream": True, "stream_options": {"include_usage": True}}).encode()
    head = f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
    head += f"Connection: close\r\nContent-Length: {len(payload)}\r\n\r\n"
    began = time.perf_counter()
    try:
        if socket:
            reader, writer = await asyncio.open_unix_connection(socket, limit=2**22)
        else:
            reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=2**22)
    except OSError as error:
        return Answer(0, error=f"{type(error).__name__}: {error}")
    answer = Answer(0)
    try:
        writer.write(head.encode() + payload)
        async with asyncio.timeout(leave_after):
            await _read(reader, answer, began)
    except TimeoutError:
        answer.error = "left"
    except (OSError, asyncio.IncompleteReadError) as error:
        answer.error = f"{type(error).__name__}: {error}"
    finally:
        answer.seconds = time.perf_counter() - began
        writer.close()
    return answer


async def _read(reader: asyncio.StreamReader, answer: Answer, began: float) -> None:
    answer.status = int((await reader.readline()).split()[1])
    ended = False
    while line := await reader.readline():  # the lengths of chunks and the headers are lines, too, and passed over
        if answer.status != 200 and line.startswith(b"{"):
            answer.error = line.decode()
        if not line.startswith(b"data: "):
            continue
        if line.startswith(b"data: [DONE]"):
            ended = True
            break
        event = json.loads(line[6:])
        if "error" in event:
            answer.error = json.dumps(event["error"])
        answer.usage = event.get("usage") or answer.usage
        for choice in event.get("choices") or ():
            text = choice["delta"].get("content") if "delta" in choice else choice.get("text")
            answer.finish = choice.get("finish_reason") or answer.finish
            if text:
                answer.text += text
                answer.times.append(time.perf_counter() - began)
    if answer.status == 200 and not ended and answer.error is None:
        answer.error = "the stream was torn"


async def ask_all(url: str, bodies: list[dict[str, Any]], socket: Path | None = None) -> list[Answer]:
    """All of them at once."""
    return list(await asyncio.gather(*(ask(url, body, socket=socket) for body in bodies)))
