"""What a strategy is: a way from a question to an answer through calls of a language model.

A strategy is a table of parameters (in a prompt's file: `[strategy]`) and one method, `run`, that asks through an
`Attempt`. The attempt counts, limits and writes down what is asked and said, so that a strategy is only its idea.
"""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mainspring.errors import UnsupportedError
from mainspring.prompts.model import Attempt, Cost, LanguageModel, LimitReachedError, Step
from mainspring.prompts.prompt import Prompt
from mainspring.runtimes.language.protocol import Message
from mainspring.spec.values import Strict


@dataclass(frozen=True)
class Answer:
    """An answer: what the model said last, the `value` read from it (None: nothing could be read), and how it came.

    `stopped` says which limit ended the attempt early; the text is then the best that there was, or empty.
    """

    text: str
    value: Any
    trace: tuple[Step, ...]
    cost: Cost
    stopped: str | None = None

    def transcript(self) -> str:
        """The trace for a person to read."""
        lines = []
        for number, step in enumerate(self.trace, 1):
            lines.append(f"── {number} {step.name} ({step.cost.tokens} tokens)")
            if step.asked:
                lines.append(f"? {step.asked[-1]['content']}")
            lines += [f"> {text}" for text in step.said]
        lines.append(f"── answer: {json.dumps(self.value, ensure_ascii=False)}; {self.cost}")
        return "\n".join(lines + ([self.stopped] if self.stopped else []))


async def answer_all(
    prompt: Prompt,
    questions: Sequence[Mapping[str, Any]],
    model: LanguageModel,
    *,
    told: Callable[[], object] = lambda: None,
) -> list[Answer]:
    """The answers to `questions`, as many at a time as `model` takes; `told` is called after each.

    A question's limit of time begins when it is taken up. The first error cancels the others.

    Raises:
        RequestError, EngineGoneError, OverloadedError: as `Strategy.answer`.
    """
    answers: dict[int, Answer] = {}
    waiting = iter(enumerate(questions))

    async def work() -> None:
        for place, values in waiting:
            answers[place] = await prompt.answer(values, model)
            told()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(model.concurrency, len(questions))):
                group.create_task(work())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [answers[place] for place in range(len(questions))]


class Strategy(Strict):
    """The parameters of a technique; `name` is what a prompt's file calls it.

    `structured`: its one call gives the answer and nothing else, so that an engine can hold it to the output's schema.
    """

    name: ClassVar[str]
    structured: ClassVar[bool] = False

    @abstractmethod
    async def run(self, prompt: Prompt, values: Mapping[str, Any], attempt: Attempt) -> str:
        """The text in which the answer to `values` stands."""

    def lacks(self, prompt: Prompt) -> str | None:
        """What `prompt` must have for this strategy and has not, as "needs …"."""
        return None

    def messages(self, prompt: Prompt, values: Mapping[str, Any]) -> list[Message]:
        """All that is sent, if it is one call that depends on nothing else.

        Raises:
            UnsupportedError: it takes more than that.
        """
        raise UnsupportedError(
            f"{self.name} takes several calls, each made from the answers before: it cannot be sent as plain messages",
            "strategy",
        )

    async def answer(self, prompt: Prompt, values: Mapping[str, Any], model: LanguageModel) -> Answer:
        """Ask `model`, within the limits of `prompt`.

        Raises:
            RequestError: `values` do not fit the prompt, or the engine cannot do what is asked.
            EngineGoneError: the engine went away.
        """
        attempt = Attempt(model, prompt.sampling.sampling(), prompt.limits)
        stopped = None
        try:
            async with asyncio.timeout(prompt.limits.seconds) as deadline:
                text = await self.run(prompt, values, attempt)
        except LimitReachedError as limit:
            text, stopped = attempt.best, str(limit)
        except TimeoutError:
            if not deadline.expired():
                raise
            text, stopped = attempt.best, f"stopped after {prompt.limits.seconds:g} s (limits.seconds)"
        value = prompt.reading.read(text)
        return Answer(text, value, tuple(attempt.trace), attempt.cost, stopped)
