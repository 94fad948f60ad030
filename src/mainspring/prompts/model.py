"""The one abstraction under all strategies: batches of conversations in, completions out.

A `LanguageModel` is an engine, bounded: so many requests at a time, greedy repeats answered from memory if wished. An
`Attempt` is one question being answered with it: its calls are counted, limited and written down. A strategy that asks
for a whole level of its search in one batch has it answered in parallel; nothing else is needed for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import msgspec
import numpy as np

from mainspring.errors import EngineGoneError
from mainspring.prompts.patience import patiently
from mainspring.prompts.prompt import Limits
from mainspring.prompts.tools import Tool
from mainspring.prompts.vectors import Vectors
from mainspring.runtimes.language.protocol import (
    Engine,
    Finish,
    Generate,
    JsonSchema,
    Message,
    Sampling,
    Usage,
)

_MOST_REMEMBERED = 10_000


@dataclass(frozen=True)
class Cost:
    """What was asked of a model: calls, and tokens of prompts and of completions.

    An answer from memory costs what it would have without: what a strategy costs depends on nothing that ran before.
    """

    calls: int = 0
    prompt: int = 0
    completion: int = 0

    @property
    def tokens(self) -> int:
        """Of prompts and completions together."""
        return self.prompt + self.completion

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.calls + other.calls, self.prompt + other.prompt, self.completion + other.completion)

    def __str__(self) -> str:
        calls = f"{self.calls} call{'' if self.calls == 1 else 's'}"
        return f"{calls}, {self.tokens} tokens ({self.prompt} of prompts, {self.completion} of completions)"


@dataclass(frozen=True)
class Completion:
    """What the model said to one conversation: a text for each choice asked for, why each ended, and what it took."""

    texts: tuple[str, ...]
    finishes: tuple[Finish, ...]
    usage: Usage

    @property
    def text(self) -> str:
        """The first choice."""
        return self.texts[0]

    @property
    def cost(self) -> Cost:
        """Of this one call."""
        return Cost(1, self.usage.prompt, self.usage.completion)


@dataclass(frozen=True)
class Step:
    """A line of a trace: a call, with the messages that were asked; or something that was found, with none."""

    name: str
    said: tuple[str, ...]
    asked: tuple[Message, ...] = ()
    cost: Cost = Cost()


class LimitReachedError(Exception):
    """An attempt has used up its calls or tokens. `Strategy.answer` makes an answer of it: nobody else sees it."""


class LanguageModel:
    """An engine, the tools that it may use, and an engine for embeddings (the same one where it can), or its `Vectors`,
    which remember those that there are.

    `concurrency` is the most requests at a time. `remember` keeps what greedy requests were answered, for runs that
    ask the same again, as a fit does. One that is not `patient` does not wait while the engine's queue is full.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        embedder: Engine | Vectors | None = None,
        tools: Sequence[Tool] = (),
        concurrency: int = 16,
        remember: bool = False,
        patient: bool = True,
    ) -> None:
        self.concurrency = concurrency
        self.tools: Mapping[str, Tool] = {tool.name: tool for tool in tools}
        self._engine = engine
        self._patient = patient
        self._slots = asyncio.Semaphore(concurrency)
        self._remembered: dict[bytes, Completion] | None = {} if remember else None
        self._vectors = embedder if isinstance(embedder, Vectors) else Vectors(embedder or engine, patient=patient)

    @property
    def embeds(self) -> bool:
        """Whether there is an engine for embeddings."""
        return self._vectors.exist

    async def complete(self, requests: Sequence[Generate]) -> list[Completion]:
        """The completions of `requests`, in their order; all are worked on at the same time.

        Raises:
            UnsupportedError, ContextError, EngineGoneError: of the first request that failed; the others are cancelled.
        """
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._complete(request)) for request in requests]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors of `texts`, (n, width) float32, of length 1: see `Vectors.of`."""
        return await self._vectors.of(texts)

    async def _complete(self, request: Generate) -> Completion:
        if self._remembered is None or request.sampling.temperature > 0:
            return await patiently(partial(self._in_turn, request), self._patient)
        key = msgspec.json.encode(request)
        if key not in self._remembered:
            completion = await patiently(partial(self._in_turn, request), self._patient)
            if len(self._remembered) < _MOST_REMEMBERED:
                self._remembered[key] = completion
            return completion
        return self._remembered[key]

    async def _in_turn(self, request: Generate) -> Completion:
        async with self._slots:
            return await self._ask(request)

    async def _ask(self, request: Generate) -> Completion:
        texts: list[str] = [""] * request.sampling.n
        finishes: list[Finish] = ["stop"] * request.sampling.n
        usage: Usage | None = None
        async with aclosing(cast(Any, self._engine.generate(request))) as parts:
            async for part in parts:
                if isinstance(part, Usage):
                    usage = part
                    continue
                texts[part.index] += part.text
                finishes[part.index] = part.finish or finishes[part.index]
        if usage is None:
            raise EngineGoneError("the engine's answer ended without saying what it took: ask again")
        return Completion(tuple(texts), tuple(finishes), usage)


@dataclass
class Attempt:
    """One question being answered. `best` is the best answer so far, for when a limit ends the attempt."""

    model: LanguageModel
    sampling: Sampling
    limits: Limits
    trace: list[Step] = field(default_factory=list)
    cost: Cost = Cost()
    best: str = ""

    async def ask(
        self,
        name: str,
        conversations: Sequence[list[Message]],
        *,
        structure: JsonSchema | None = None,
        stop: tuple[str, ...] = (),
        **sampling: Any,
    ) -> list[Completion]:
        """The model's completions of `conversations`, asked as one batch and written down as steps called `name`.

        `stop` is added to the prompt's own; `sampling` (temperature, n, max_tokens, …) replaces the prompt's.

        Raises:
            LimitReachedError: the batch would pass the limit of calls, or that of tokens is passed.
        """
        self._check_limits(len(conversations))
        self.cost += Cost(calls=len(conversations))
        chosen = msgspec.structs.replace(self.sampling, stop=(*self.sampling.stop, *stop), **sampling)
        completions = await self.model.complete(
            [Generate(messages=list(messages), structure=structure, sampling=chosen) for messages in conversations]
        )
        for messages, completion in zip(conversations, completions, strict=True):
            self.cost += Cost(0, completion.usage.prompt, completion.usage.completion)
            self.trace.append(Step(name, completion.texts, tuple(messages), completion.cost))
        return completions

    def note(self, name: str, *said: str) -> None:
        """Write down something that was found without the model."""
        self.trace.append(Step(name, said))

    def _check_limits(self, calls: int) -> None:
        if self.cost.calls + calls > self.limits.calls:
            raise LimitReachedError(
                f"stopped after {self.cost.calls} calls: {calls} more would pass {self.limits.calls} (limits.calls)"
            )
        if self.cost.tokens >= self.limits.tokens:
            raise LimitReachedError(f"stopped after {self.cost.tokens} tokens of {self.limits.tokens} (limits.tokens)")
