"""One call: the prompt as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mainspring.prompts.model import Attempt
from mainspring.prompts.prompt import Prompt
from mainspring.prompts.strategy import Strategy
from mainspring.runtimes.language.protocol import Message


class Direct(Strategy):
    """The question, and nothing else."""

    name: ClassVar[str] = "direct"
    structured: ClassVar[bool] = True

    def messages(self, prompt: Prompt, values: Mapping[str, Any]) -> list[Message]:
        """The prompt's own."""
        return prompt.messages(values)

    async def run(self, prompt: Prompt, values: Mapping[str, Any], attempt: Attempt) -> str:
        """What the model says to it."""
        [reply] = await attempt.ask("answer", [self.messages(prompt, values)], structure=prompt.structure)
        return reply.text
