"""Simpler questions first: each is asked with the answers to those before it, and the question itself comes last.

Zhou et al. (2022), "Least-to-Most Prompting Enables Complex Reasoning in Large Language Models".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from mainspring.prompts.model import Attempt
from mainspring.prompts.prompt import Prompt
from mainspring.prompts.strategy import Strategy
from mainspring.prompts.template import fill, template_with
from mainspring.runtimes.language.protocol import Message

_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")

DECOMPOSE = """{{problem}}

Do not answer yet. Which simpler questions have to be answered first? One question on each line, the simplest first."""


class LeastToMost(Strategy):
    """At most `most` simpler questions; `decompose` asks for them, `last` for the answer to the whole."""

    name: ClassVar[str] = "least-to-most"
    most: Annotated[int, Field(ge=1, le=16)] = 4
    decompose: template_with("problem") = DECOMPOSE  # type: ignore[valid-type]
    last: str = "Therefore, what is the answer to the whole question? Give the answer alone."

    async def run(self, prompt: Prompt, values: Mapping[str, Any], attempt: Attempt) -> str:
        """The answer to the question itself, all simpler ones being answered."""
        asked = prompt.asking(values, fill(self.decompose, {"problem": prompt.question(values)}))
        [listed] = await attempt.ask("decompose", [asked])
        simpler = [_BULLET.sub("", line).strip() for line in listed.text.splitlines() if line.strip()][: self.most]

        conversation: list[Message] = prompt.messages(values)
        for number, question in enumerate(simpler):
            if number == 0:  # what is given stands in the question itself
                conversation[-1] = {"role": "user", "content": f"{conversation[-1]['content']}\n\nFirst: {question}"}
            else:
                conversation.append({"role": "user", "content": question})
            [reply] = await attempt.ask("solve", [conversation])
            conversation.append({"role": "assistant", "content": reply.text})
            attempt.best = reply.text
        if simpler:
            conversation.append({"role": "user", "content": self.last})
        [answer] = await attempt.ask("answer", [conversation], structure=prompt.structure)
        return answer.text
