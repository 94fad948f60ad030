"""Draft, criticise, revise: the model reads its own answer and mends it.

Madaan et al. (2023), "Self-Refine: Iterative Refinement with Self-Feedback", whose feedback is the model's own; what
was said of earlier drafts stays in view, as in Shinn et al. (2023), "Reflexion: Language Agents with Verbal
Reinforcement Learning".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from mainspring.prompts.model import Attempt
from mainspring.prompts.prompt import Prompt
from mainspring.prompts.strategy import Strategy
from mainspring.runtimes.language.protocol import Message


class Reflection(Strategy):
    """At most `rounds` of criticism and revision; a criticism with the word `done` ends them."""

    name: ClassVar[str] = "reflection"
    rounds: Annotated[int, Field(ge=1, le=8)] = 2
    criticise: str = (
        "Is this answer right? Say what is wrong with it, if anything is. If nothing is, write the word CORRECT."
    )
    revise: str = "Now give the better answer, in the form that was asked for, and nothing else."
    done: Annotated[str, Field(min_length=1)] = "CORRECT"

    async def run(self, prompt: Prompt, values: Mapping[str, Any], attempt: Attempt) -> str:
        """The last draft."""
        conversation: list[Message] = prompt.messages(values)
        [draft] = await attempt.ask("draft", [conversation], structure=prompt.structure)
        for _ in range(self.rounds):
            attempt.best = draft.text
            conversation += [
                {"role": "assistant", "content": draft.text},
                {"role": "user", "content": self.criticise},
            ]
            [criticism] = await attempt.ask("criticise", [conversation])
            if re.search(rf"(?<!\w){re.escape(self.done)}(?!\w)", criticism.text):
                break
            conversation += [
                {"role": "assistant", "content": criticism.text},
                {"role": "user", "content": self.revise},
            ]
            [draft] = await attempt.ask("revise", [conversation], structure=prompt.structure)
        return draft.text
