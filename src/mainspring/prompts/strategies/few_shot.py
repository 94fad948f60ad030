"""Examples in the prompt, each as an earlier question with its right answer.

Fixed examples: Brown et al. (2020), "Language Models are Few-Shot Learners". The nearest ones by embedding, the nearest
of them last, next to the question: Liu et al. (2022), "What Makes Good In-Context Examples for GPT-3?".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from mainspring.prompts.model import Attempt
from mainspring.prompts.prompt import Prompt
from mainspring.prompts.strategy import Strategy
from mainspring.runtimes.language.protocol import Message

Shots = Annotated[int, Field(ge=1, le=64)]


class FewShot(Strategy):
    """The first `shots` examples, the same for every question."""

    name: ClassVar[str] = "few-shot"
    structured: ClassVar[bool] = True
    shots: Shots = 4

    def lacks(self, prompt: Prompt) -> str | None:
        """Examples."""
        return None if prompt.examples else "needs `# examples`"

    def messages(self, prompt: Prompt, values: Mapping[str, Any]) -> list[Message]:
        """The examples, and then the question."""
        return prompt.messages(values, examples=prompt.examples[: self.shots])

    async def run(self, prompt: Prompt, values: Mapping[str, Any], attempt: Attempt) -> str:
        """What the model says to them."""
        [reply] = await attempt.ask("answer", [self.messages(prompt, values)], structure=prompt.structure)
        return reply.text


class NearestExamples(Strategy):
    """The `shots` examples that are most like the question."""

    name: ClassVar[str] = "nearest-examples"
    shots: Shots = 4

    def lacks(self, prompt: Prompt) -> str | None:
        """Examples."""
        return None if prompt.examples else "needs `# examples`"

    async def run(self, prompt: Prompt, values: Mapping[str, Any], attempt: Attempt) -> str:
        """What the model says to them and the question."""
        questions = prompt.example_questions
        vectors = await attempt.model.embed([*questions, prompt.question(values)])
        nearness = vectors[:-1] @ vectors[-1]  # (examples,)
        nearest = np.argsort(-nearness, kind="stable")[: self.shots][::-1]
        attempt.note("nearest", *(f"{nearness[index]:.3f} {questions[index]}" for index in nearest))
        messages = prompt.messages(values, examples=[prompt.examples[index] for index in nearest])
        [reply] = await attempt.ask("answer", [messages], structure=prompt.structure)
        return reply.text
