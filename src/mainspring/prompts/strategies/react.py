"""Reasoning and tools by turns: a thought, an action, what was observed, until there is an answer.

Yao et al. (2022), "ReAct: Synergizing Reasoning and Acting in Language Models". The turns are plain text, as in the
paper, so that every model can be asked, also one that was not trained on tool calls.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from mainspring.errors import SpecError, require
from mainspring.prompts.model import Attempt
from mainspring.prompts.prompt import Prompt
from mainspring.prompts.reading import MARK
from mainspring.prompts.strategies.chain_of_thought import conclude
from mainspring.prompts.strategy import Strategy
from mainspring.prompts.tools import Tool
from mainspring.runtimes.language.protocol import Message
from mainspring.spec.mistakes import choices

_ACTION = re.compile(r"^[ \t*]*Action:[ \t*]*(\S+)[ \t]*(.*)", re.MULTILINE | re.DOTALL)
_ANSWER = re.compile(rf"^[ \t*]*{MARK}", re.MULTILINE)
_LONGEST_OBSERVATION = 4000  # characters

INSTRUCTION = f"""Answer with the help of these tools:
%s

Write in turns. In each, a line "Thought: ..." and then either a line with a tool and its arguments as JSON:
Action: NAME {{"argument": "value"}}
after which you are told the observation; or, when you know it, a line with the answer:
{MARK} ..."""


class React(Strategy):
    """At most `steps` turns, each tool `seconds` for a call; `tools` are those by name that may be used (all if empty).

    Whatever goes wrong with an action is an observation, for the model to do better.
    """

    name: ClassVar[str] = "react"
    tools: Annotated[tuple[str, ...], Field(strict=False)] = ()
    steps: Annotated[int, Field(ge=1, le=64)] = 8
    seconds: Annotated[float, Field(gt=0.0)] = 30.0
    conclude: str = "No more actions. What is the answer? Give the answer alone."

    async def run(self, prompt: Prompt, values: Mapping[str, Any], attempt: Attempt) -> str:
        """The answer in the turn that has one, or what the model concludes after the last."""
        tools = self._tools(attempt.model.tools)
        instruction = INSTRUCTION % "\n".join(map(_described, tools.values()))
        conversation: list[Message] = prompt.messages(values, add=instruction)
        for _ in range(self.steps):
            [reply] = await attempt.ask("turn", [conversation], stop=("\nObservation:",))
            action, answer = _ACTION.search(reply.text), _ANSWER.search(reply.text)
            if answer and not (action and action.start() < answer.start()):
                if prompt.structure:
                    return await conclude(prompt, attempt, conversation, reply.text, self.conclude)
                return reply.text
            observed = await self._act(tools, action)
            attempt.note("observation", observed)
            conversation += [
                {"role": "assistant", "content": reply.text},
                {"role": "user", "content": f"Observation: {observed}"},
            ]
        conversation[-1] = {"role": "user", "content": f"{conversation[-1]['content']}\n\n{self.conclude}"}
        [last] = await attempt.ask("conclude", [conversation], structure=prompt.structure)
        return last.text

    def _tools(self, given: Mapping[str, Tool]) -> Mapping[str, Tool]:
        for name in self.tools:
            if name not in given:
                raise SpecError(f"strategy.tools: {name!r} is not a tool here{choices(name, given)}")
        return {name: given[name] for name in self.tools} if self.tools else given

    async def _act(self, tools: Mapping[str, Tool], action: re.Match[str] | None) -> str:
        """What is observed after an action, an error included."""
        if action is None:
            return f'expected a line "Action: NAME {{...}}" or "{MARK} ..."'
        name, written = action[1].rstrip(":"), action[2]
        if name not in tools:
            return f"error: there is no tool {name!r}{choices(name, tools)}"
        try:
            arguments, _ = json.JSONDecoder().raw_decode(written.strip() or "{}")
        except (ValueError, RecursionError) as error:
            return f"error: the arguments are not JSON: {error}"
        validator = require("jsonschema", "language").Draft202012Validator(tools[name].schema)
        if wrong := next(iter(validator.iter_errors(arguments)), None):
            return f"error: the arguments do not fit: {wrong.json_path}: {wrong.message}"
        try:
            observed = await asyncio.wait_for(tools[name].call(arguments), self.seconds)
        except TimeoutError:
            return f"error: {name} took longer than {self.seconds:g} s"
        except Exception as error:  # a tool is anything at all
            return f"error: {error}"
        cut = len(observed) > _LONGEST_OBSERVATION
        return observed[:_LONGEST_OBSERVATION] + ("… (cut)" if cut else "")


def _described(tool: Tool) -> str:
    return f"{tool.name}: {tool.description} Arguments: {json.dumps(tool.schema, ensure_ascii=False)}"
