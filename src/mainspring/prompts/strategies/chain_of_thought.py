"""Reasoning before the answer.

By examples that reason: Wei et al. (2022), "Chain-of-Thought Prompting Elicits Reasoning in Large Language Models". By
an instruction, and a second call that draws the answer from the reasoning: Kojima et al. (2022), "Large Language Models
are Zero-Shot Reasoners". Wei et al. find a gain from about 100 billion parameters on, and a loss in small models: see
`fitting` for how to know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mainspring.prompts.model import Attempt
from mainspring.prompts.prompt import Example, Prompt
from mainspring.prompts.reading import MARK
from mainspring.prompts.strategies.few_shot import Shots
from mainspring.prompts.strategy import Strategy
from mainspring.runtimes.language.protocol import Message


def reasoned_examples(prompt: Prompt, shots: int) -> tuple[Example, ...]:
    """The first `shots` examples that say how one gets to the answer."""
    return tuple(example for example in prompt.examples if example.reasoning)[:shots]


class ChainOfThought(Strategy):
    """The first `shots` examples with `reasoning`: the model reasons as they do, and ends as they do."""

    name: ClassVar[str] = "chain-of-thought"
    shots: Shots = 4

    def lacks(self, prompt: Prompt) -> str | None:
        """Examples that reason."""
        found = reasoned_examples(prompt, 1)
        return None if found else "needs `# examples` with 'reasoning' (without: zero-shot-chain-of-thought)"

    def messages(self, prompt: Prompt, values: Mapping[str, Any]) -> list[Message]:
        """The examples with their reasoning, and then the question."""
        return prompt.messages(values, examples=reasoned_examples(prompt, self.shots), reasoned=True)

    async def run(self, prompt: Prompt, values: Mapping[str, Any], attempt: Attempt) -> str:
        """A reasoning that ends with the answer."""
        [reply] = await attempt.ask("reason", [self.messages(prompt, values)])
        return reply.text


class ZeroShotChainOfThought(Strategy):
    """Asked to think, the model reasons; asked to `conclude`, it answers."""

    name: ClassVar[str] = "zero-shot-chain-of-thought"
    think: str = "Let's think step by step."
    conclude: str = "Therefore, what is the answer? Give the answer alone."

    async def run(self, prompt: Prompt, values: Mapping[str, Any], attempt: Attempt) -> str:
        """The answer alone."""
        asked = prompt.messages(values, add=self.think)
        [reasoning] = await attempt.ask("reason", [asked])
        attempt.best = reasoning.text
        return await conclude(prompt, attempt, asked, reasoning.text, self.conclude)


async def conclude(prompt: Prompt, attempt: Attempt, asked: list[Message], said: str, conclusion: str) -> str:
    """Having `asked` and been told what was `said`, ask for the `conclusion`, held to the output's schema if any."""
    messages = [*asked, {"role": "assistant", "content": said}, {"role": "user", "content": conclusion}]
    [reply] = await attempt.ask("conclude", [messages], structure=prompt.structure)
    return reply.text


THINK_AND_ANSWER = f'Think step by step. Then end with a line that begins with "{MARK}" and has the answer alone.'
