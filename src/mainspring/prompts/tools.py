"""What a model may use while it answers: a search, a sum, another model of the gateway."""

from __future__ import annotations

from typing import Any, Protocol


class Tool(Protocol):
    """Something that a model can call. `schema` is a JSON schema of the object of its arguments."""

    @property
    def name(self) -> str:
        """Under which the model calls it: one word."""

    @property
    def description(self) -> str:
        """What it does, for the model, in a sentence."""

    @property
    def schema(self) -> dict[str, Any]:
        """What arguments it takes."""

    async def call(self, arguments: dict[str, Any]) -> str:
        """What the model is told. `arguments` fit the schema; an error's message is told as an observation."""
