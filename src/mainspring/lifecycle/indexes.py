"""The index of a version, searched outside of a gateway: its embedder is the running service's where there is one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mainspring.lifecycle.engines import engine_of
from mainspring.registry.versions import Version
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.questions import IndexSearch

FOLDER = "index"


class OpenIndex(IndexSearch):
    """One whose embedder is closed with it."""

    async def close(self) -> None:
        """Let go of both."""
        await self.embedder.close()
        await asyncio.to_thread(self.index.close)


async def open_index(state: Path, version: Version) -> OpenIndex:
    """The index of `version`, of the project whose state is in `state`.

    Raises:
        RegistryError: a file of the version is missing or damaged.
        RuntimeLoadError, StoreError: it cannot be opened.
    """
    await asyncio.to_thread(version.verify)
    index = await asyncio.to_thread(Index.load, version.folder / FOLDER)
    return OpenIndex(index, await engine_of(state, version))
