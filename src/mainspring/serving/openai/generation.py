"""What an engine answers to the requests that one HTTP request comes to, as one stream, with limits on its silence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeAlias

from mainspring.errors import EngineGoneError
from mainspring.runtimes.language.protocol import (
    Answered,
    Chosen,
    Citation,
    Delta,
    Engine,
    Finish,
    Generate,
    ToolCall,
    Usage,
)

Piece: TypeAlias = tuple[int, Delta | Usage]  # which of the requests, and what of its answer


async def pieces(
    engine: Engine, requests: list[Generate], *, silence: float, quiet: float
) -> AsyncGenerator[list[Piece], None]:
    """What `engine` answers, as it comes; what comes together is given together.

    Whenever nothing came for `quiet` seconds an empty list is given. Closing cancels what is under way.

    Raises:
        MainspringError: what the engine raises.
        EngineGoneError: nothing came for `silence` seconds.
    """
    arrived: asyncio.Queue[Piece | Exception | None] = asyncio.Queue()

    async def pump(number: int, request: Generate) -> None:
        try:
            async with aclosing(engine.generate(request)) as answer:
                async for piece in answer:
                    arrived.put_nowait((number, piece))
        except Exception as error:
            arrived.put_nowait(error)
        else:
            arrived.put_nowait(None)

    pumps = [asyncio.create_task(pump(number, request)) for number, request in enumerate(requests)]
    under_way, heard = len(pumps), time.monotonic()
    try:
        while under_way:
            batch: list[Piece] = []
            try:
                async with asyncio.timeout(max(0.0, min(quiet, heard + silence - time.monotonic()))):
                    found = await arrived.get()
            except TimeoutError:
                if time.monotonic() - heard >= silence:
                    raise EngineGoneError(
                        f"the model gave nothing for {silence:g} s: too much is asked of it at once, or it hangs"
                    ) from None
                yield []
                continue
            heard = time.monotonic()
            while found is None or isinstance(found, tuple):
                if found is None:
                    under_way -= 1
                else:
                    batch.append(found)
                if arrived.empty():
                    break
                found = arrived.get_nowait()
            if batch:
                yield batch
            if isinstance(found, Exception):
                raise found
    finally:
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


@dataclass
class WholeCall:
    """A tool call, put together from its pieces."""

    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass
class Answer:
    """One of the `n` answers, put together from its pieces."""

    texts: list[str] = field(default_factory=list)
    chosen: list[Chosen] = field(default_factory=list)
    calls: dict[int, WholeCall] = field(default_factory=dict)
    tokens: int = 0
    finish: Finish | None = None
    citations: tuple[Citation, ...] = ()
    answered: Answered | None = None

    @property
    def text(self) -> str:
        """What it says so far."""
        return "".join(self.texts)

    def add(self, delta: Delta) -> None:
        """The next piece."""
        if delta.text:
            self.texts.append(delta.text)
        self.chosen += delta.logprobs
        self.tokens += delta.tokens
        self.finish = delta.finish or self.finish
        self.citations += delta.citations
        self.answered = delta.answered or self.answered
        for piece in delta.tool_calls:
            self._add_call(piece)

    def _add_call(self, piece: ToolCall) -> None:
        call = self.calls.setdefault(piece.index, WholeCall())
        call.id = piece.id or call.id
        call.name = piece.name or call.name
        call.arguments += piece.arguments
