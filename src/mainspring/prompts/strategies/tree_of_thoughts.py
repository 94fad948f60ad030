"""A search over steps of reasoning: the model proposes next steps, and judges how far each leads.

Yao et al. (2023), "Tree of Thoughts: Deliberate Problem Solving with Large Language Models", algorithms 1 and 2. All
steps of a level are proposed in one batch, and all are valued in one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import Field

from mainspring.prompts.model import Attempt
from mainspring.prompts.prompt import Prompt
from mainspring.prompts.reading import MARK
from mainspring.prompts.strategies.chain_of_thought import conclude
from mainspring.prompts.strategy import Strategy
from mainspring.prompts.template import fill, template_with

Thoughts: TypeAlias = tuple[str, ...]  # a node of the tree: the steps on the way to it
Valued: TypeAlias = tuple[float, Thoughts]

VALUES = {"sure": 20.0, "likely": 1.0, "impossible": 0.001}  # the paper's
_VALUE = re.compile(r"\b(sure|likely|impossible)\b", re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")

PROPOSE = f"""{{{{problem}}}}

Steps so far:
{{{{thoughts}}}}

Propose possible next steps, each on a line of its own. A step that is the answer begins with "{MARK}"."""

VALUE = """{{problem}}

Steps so far:
{{thoughts}}

Can these steps lead to the right answer? End with one word: sure, likely or impossible."""


class TreeOfThoughts(Strategy):
    """What both searches share. At most `depth` steps; of each proposal the first `width` lines.

    A step's value is the mean of `votes` judgements, each sure (20), likely (1) or impossible (0.001); more than one
    are drawn at a temperature of 0.7.
    """

    depth: Annotated[int, Field(ge=1, le=32)] = 3
    width: Annotated[int, Field(ge=1, le=32)] = 5
    votes: Annotated[int, Field(ge=1, le=16)] = 1
    propose: template_with("problem", "thoughts") = PROPOSE  # type: ignore[valid-type]
    value: template_with("problem", "thoughts") = VALUE  # type: ignore[valid-type]
    conclude: str = "Therefore, what is the answer? Give the answer alone."

    async def children(
        self, prompt: Prompt, values: Mapping[str, Any], nodes: Sequence[Thoughts], attempt: Attempt
    ) -> list[Valued]:
        """The next steps from all `nodes`, no two the same, each with its value, the best first."""
        replies = await attempt.ask("propose", [self._asking(prompt, values, self.propose, node) for node in nodes])
        proposed = dict.fromkeys(
            (*node, step)
            for node, reply in zip(nodes, replies, strict=True)
            for step in _lines(reply.text)[: self.width]
        )
        if not proposed:
            return []
        temperature = 0.7 if self.votes > 1 else attempt.sampling.temperature
        judged = await attempt.ask(
            "value",
            [self._asking(prompt, values, self.value, node) for node in proposed],
            n=self.votes,
            temperature=temperature,
        )
        valued = [(_mean_value(reply.texts), node) for node, reply in zip(proposed, judged, strict=True)]
        return sorted(valued, key=lambda child: -child[0])

    async def finish(self, prompt: Prompt, values: Mapping[str, Any], node: Thoughts, attempt: Attempt) -> str:
        """The answer that `node` ends with, or the one that the model draws from its steps."""
        attempt.note("path", *node)
        if finished(node):
            return node[-1]
        return await conclude(prompt, attempt, prompt.messages(values), "\n".join(node), self.conclude)

    def _asking(self, prompt: Prompt, values: Mapping[str, Any], template: str, node: Thoughts) -> Any:
        thoughts = "\n".join(node) or "(none)"
        return prompt.asking(values, fill(template, {"problem": prompt.question(values), "thoughts": thoughts}))


class BreadthFirst(TreeOfThoughts):
    """Algorithm 1: level by level, the best `breadth` nodes are kept."""

    name: ClassVar[str] = "tree-of-thoughts"
    breadth: Annotated[int, Field(ge=1, le=32)] = 3

    async def run(self, prompt: Prompt, values: Mapping[str, Any], attempt: Attempt) -> str:
        """The answer of the best node of the last level."""
        kept: list[Valued] = [(0.0, ())]
        for _ in range(self.depth):
            ended = [child for child in kept if finished(child[1])]
            open_nodes = [node for _, node in kept if not finished(node)]
            if not open_nodes:
                break
            found = await self.children(prompt, values, open_nodes, attempt)
            if not found and not ended:
                break  # nothing more is proposed: what there is has to do
            kept = sorted(ended + found, key=lambda child: -child[0])[: self.breadth]
            attempt.best = kept[0][1][-1]
        return await self.finish(prompt, values, kept[0][1], attempt)


class DepthFirst(TreeOfThoughts):
    """Algorithm 2: the best child first, and back again from one whose value is below `threshold`.

    It ends at the first node that is an answer, or after `nodes` of them, with the deepest of the best.
    """

    name: ClassVar[str] = "tree-of-thoughts-depth-first"
    threshold: Annotated[float, Field(ge=0.0, le=20.0)] = 0.5
    nodes: Annotated[int, Field(ge=1, le=1000)] = 20

    async def run(self, prompt: Prompt, values: Mapping[str, Any], attempt: Attempt) -> str:
        """The first answer that is found."""
        stack: list[Valued] = [(0.0, ())]
        deepest: Valued = stack[0]
        for _ in range(self.nodes):
            if not stack:
                break
            value, node = stack.pop()
            if (len(node), value) > (len(deepest[1]), deepest[0]):
                deepest = (value, node)
                attempt.best = node[-1]
            if finished(node):
                return await self.finish(prompt, values, node, attempt)
            if len(node) < self.depth:
                found = await self.children(prompt, values, [node], attempt)
                stack += reversed([child for child in found if child[0] >= self.threshold])
        return await self.finish(prompt, values, deepest[1], attempt)


def finished(node: Thoughts) -> bool:
    """Whether the last step is an answer."""
    return bool(node) and node[-1].startswith(MARK)


def _lines(text: str) -> list[str]:
    return [line for line in (_BULLET.sub("", line).strip() for line in text.splitlines()) if line]


def _mean_value(texts: Sequence[str]) -> float:
    """The last of the three words in each text says its value; a text with none of them is worth nothing."""
    words = [_VALUE.findall(text) for text in texts]
    return sum(VALUES[found[-1].lower()] for found in words if found) / len(texts)
