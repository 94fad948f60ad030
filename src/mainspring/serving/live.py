"""A version that can answer, of whatever kind: what slots, routes and health need to know of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from mainspring.registry.versions import Manifest
from mainspring.serving.problems import Problem


class LiveVersion:
    """Requests lease it; once retired it is dropped when the last lease ends.

    The leases are counted on the event loop only, so that they need no lock.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.loaded_at = datetime.now(UTC)
        self.leases = 0
        self._when_drained: Callable[[], None] | None = None

    @property
    def model(self) -> str:
        """The model's name."""
        return self.manifest.model

    @property
    def name(self) -> str:
        """The version's name."""
        return self.manifest.version

    async def open(self) -> None:
        """What has to be done on the event loop before anyone may ask. Raises whatever goes wrong."""

    async def prove(self) -> None:
        """Really answer a golden example, as readiness does. Raises whatever goes wrong."""
        raise NotImplementedError

    async def tell(self, arguments: dict[str, Any]) -> str:
        """What this version says when it is asked as a tool (see `prompts.model_tools`). Raises whatever goes wrong."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of what is not this process's own. Nobody asks any more."""

    def release(self) -> None:
        """End a lease."""
        self.leases -= 1
        if self._when_drained and not self.leases:
            self._when_drained()

    def retire(self, when_drained: Callable[[], None]) -> None:
        """No new leases come; call `when_drained` once the last one ends."""
        self._when_drained = when_drained
        if not self.leases:
            when_drained()

    def wrong_kind(self) -> Problem:
        """What a request is answered that asks this version in a way in which it cannot be asked."""
        where = {"chat": "/v1/chat/completions", "completion": "/v1/completions", "embedding": "/v1/embeddings"}
        own = "search or /ask" if self.manifest.task == "retrieval" else "predict"
        path = where.get(self.manifest.task, f"/models/{self.model}/{own}")
        return Problem(400, f"{self.model} is a {self.manifest.task} model: ask it with POST {path}")
