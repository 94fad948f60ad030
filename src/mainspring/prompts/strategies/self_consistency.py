"""Many reasonings, and the answer that most of them come to.

Wang et al. (2022), "Self-Consistency Improves Chain of Thought Reasoning in Language Models".
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from mainspring.prompts.model import Attempt
from mainspring.prompts.prompt import Prompt
from mainspring.prompts.strategies.chain_of_thought import THINK_AND_ANSWER, reasoned_examples
from mainspring.prompts.strategies.few_shot import Shots
from mainspring.prompts.strategy import Strategy


class SelfConsistency(Strategy):
    """`samples` reasonings at this `temperature`, drawn in one call; each that can be read has a vote.

    Where the prompt has examples with reasoning, the first `shots` of them are shown; otherwise `think` asks for it.
    """

    name: ClassVar[str] = "self-consistency"
    samples: Annotated[int, Field(ge=2, le=64)] = 5
    temperature: Annotated[float, Field(gt=0.0, le=2.0)] = 0.7
    shots: Shots = 4
    think: str = THINK_AND_ANSWER

    async def run(self, prompt: Prompt, values: Mapping[str, Any], attempt: Attempt) -> str:
        """The first of the reasonings that come to the majority's answer."""
        examples = reasoned_examples(prompt, self.shots)
        messages = prompt.messages(values, examples=examples, reasoned=True, add="" if examples else self.think)
        [drawn] = await attempt.ask("reason", [messages], n=self.samples, temperature=self.temperature)
        read = [(prompt.reading.read(text), text) for text in drawn.texts]
        ballots = [(json.dumps(value, sort_keys=True), text) for value, text in read if value is not None]
        if not ballots:
            return drawn.text
        votes = Counter(ballot for ballot, _ in ballots)
        attempt.note("votes", *(f"{count} {ballot}" for ballot, count in votes.most_common()))
        [(winner, _)] = votes.most_common(1)  # of equals, the one that came first
        return next(text for ballot, text in ballots if ballot == winner)
