from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mainspring.errors import EngineGoneError
from mainspring.runtimes.language.client import EngineClient
from runtimes.language import talker

_T = TypeVar("_T")


@pytest.fixture
def hosted() -> Iterator[Callable[..., Any]]:
    """Starts processes in which a `Talker` answers; they do not outlive the test."""
    running = []

    def begin(socket: Path, diary: Path, pause: float = 0.0) -> Any:
        running.append(talker.host(socket, diary, pause))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def ask() -> Callable[..., Any]:
    """Runs `task(client)` for a client of the socket, once its engine answers."""

    def run(socket: Path, task: Callable[[EngineClient], Awaitable[_T]], **options: float) -> _T:
        async def reached() -> _T:
            client = EngineClient(socket, **options)
            await reach(client)
            try:
                return await task(client)
            finally:
                await client.close()

        return asyncio.run(reached())

    return run


async def reach(client: EngineClient, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            await client.connect()
            return
        except EngineGoneError:
            assert time.monotonic() < deadline, "the engine does not answer"
        await asyncio.sleep(0.02)


async def until(true: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        await asyncio.sleep(0.01)


async def read(pieces: AsyncIterator[Any]) -> list[Any]:
    return [piece async for piece in pieces]
