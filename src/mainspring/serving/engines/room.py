"""Follows desired state: an engine for each version of a language model that takes traffic, or is a shadow. That of an
index is its embedder.

What is no longer wanted is stopped when no gateway is connected to it any more: one that cannot bring the next version
live goes on with the last, and a stream that has begun is answered to its end. Engines load one after the other, so
that each has all of the machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from mainspring.errors import EngineGoneError, RegistryError
from mainspring.registry import desired, versions
from mainspring.registry.desired import Desired
from mainspring.runtimes.language.process import EngineProcess
from mainspring.runtimes.language.sockets import socket_path
from mainspring.serving.engines import commands, status
from mainspring.serving.engines.status import EngineStatus
from mainspring.serving.language import ENGINE_TASKS
from mainspring.serving.watching import WatchedFile

_LOOK_SECONDS = 0.25
_READ_AGAIN_SECONDS = 5.0
_STOP_SECONDS = 5.0

Key: TypeAlias = tuple[str, str]  # a model, and its version


class EngineRoom:
    """Keeps the engines of the project whose state is in `state`.

    Args:
        state: the project's state folder.
        grace_seconds: how long what is under way has when an engine must end.
        drain_seconds: how long nobody must have been connected to an engine that is not wanted before it is stopped.
        say: is told what happens, a line at a time.
    """

    def __init__(self, state: Path, *, grace_seconds: float, drain_seconds: float, say: Callable[[str], None]) -> None:
        self._state = state
        self._grace_seconds = grace_seconds
        self._drain_seconds = drain_seconds
        self._say = say
        self._file = WatchedFile(desired.path(state))
        self._read_at: float | None = 0.0  # when to read it even if it did not change
        self._wanted: set[Key] = set()
        self._kept: dict[Key, _Kept] = {}
        self._starting = asyncio.Lock()
        self._complaints: set[str] = set()

    async def run(self) -> None:
        """Follow until this task is cancelled; then stop all engines."""
        try:
            while True:
                if self._file.changed() or (self._read_at is not None and time.monotonic() >= self._read_at):
                    self._read()
                await self._let_go()
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            for kept in self._kept.values():
                kept.task.cancel()
            await asyncio.gather(*(kept.task for kept in self._kept.values()), return_exceptions=True)
            self._kept.clear()
            self._write()

    def _read(self) -> None:
        """See what is wanted, and begin with what is new. What cannot be read now is tried again."""
        self._read_at = None
        try:
            state = desired.last_known(self._state)
        except OSError as error:
            self._complain(f"the engines stay as they are: {error}")
            return
        self._wanted = {key for key in _routed(state) if self._has_engine(*key)}
        for key in self._wanted - set(self._kept):
            self._kept[key] = self._keep(*key)
        self._write()

    def _has_engine(self, model: str, version: str) -> bool:
        try:
            task = versions.load(self._state, model, version).manifest.task
        except (RegistryError, OSError) as error:
            self._complain(f"{model} has no engine: {error}")
            return False
        return task in ENGINE_TASKS

    def _complain(self, line: str) -> None:
        """Say it, once, and try again after a while."""
        self._read_at = time.monotonic() + _READ_AGAIN_SECONDS
        if line not in self._complaints:
            self._complaints.add(line)
            self._say(line)

    def _keep(self, model: str, version: str) -> _Kept:
        socket = socket_path(self._state, model, version)
        process = EngineProcess(
            f"{model} {version}",
            socket,
            lambda: commands.command(self._state, model, version, socket, grace_seconds=self._grace_seconds),
            starting=self._starting,
            stop_seconds=self._grace_seconds + _STOP_SECONDS,
            say=self._say,
            on_change=self._write,
        )
        return _Kept(process)

    async def _let_go(self) -> None:
        """Stop what has not been wanted, nor used, for a while."""
        now = time.monotonic()
        for key, kept in list(self._kept.items()):
            if kept.task.done():
                del self._kept[key]
                if key in self._wanted:
                    self._kept[key] = self._keep(*key)  # it was let go of, and is wanted again
                self._write()
            elif key in self._wanted or await kept.used():
                kept.idle_since = None
            elif kept.idle_since is None:
                kept.idle_since = now
            elif now - kept.idle_since >= self._drain_seconds:
                self._say(f"the engine of {kept.process.name} is not wanted any more, and nobody asks it")
                kept.task.cancel()

    def _write(self) -> None:
        status.write(
            self._state,
            [EngineStatus(*key, kept.process.status) for key, kept in sorted(self._kept.items())],
        )


class _Kept:
    """One version's engine, and the task that keeps it."""

    def __init__(self, process: EngineProcess) -> None:
        self.process = process
        self.idle_since: float | None = None
        self.task = asyncio.create_task(process.keep(), name=f"engine of {process.name}")

    async def used(self) -> bool:
        """Whether anybody is connected."""
        try:
            return self.process.status.state == "running" and await self.process.client.clients() > 0
        except EngineGoneError:
            return False


def _routed(state: Desired) -> Iterator[Key]:
    """The versions that answer, each model's champion first."""
    for name, model in state.models.items():
        if model.loaded:
            for route in model.routes:
                yield name, route.version
            if model.shadow is not None:
                yield name, model.shadow
