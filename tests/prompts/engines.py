"""Engines that answer by rule: they really work out what they say, in as many words as tokens."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from fractions import Fraction
from itertools import combinations

import numpy as np

from mainspring.errors import OverloadedError, UnsupportedError
from mainspring.runtimes.language.protocol import Capabilities, Delta, EngineInfo, Generate, JsonSchema, Usage

Rule = Callable[[list[dict], int], str]  # the messages, and which choice → what is said


class RuleEngine:
    """Says what `rule` says, word by word. It counts its requests, and how many there are at a time."""

    def __init__(self, rule: Rule, *, overloads: int = 0, embeds: bool = True, context: int = 100_000) -> None:
        self._rule = rule
        self.requests: list[Generate] = []
        self.at_once = self.most_at_once = self.cancelled = self.embedded = self.most_embedded = 0
        self._overloads = overloads
        self.capabilities = Capabilities(context=context, structures=("json_schema",), embeds=32 if embeds else None)
        self.info = EngineInfo("rule", "", "a test")

    async def generate(self, request: Generate) -> AsyncGenerator[Delta | Usage, None]:
        if self._overloads:
            self._overloads -= 1
            raise OverloadedError("the queue is full")
        self.requests.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0.002)
            words = 0
            for index in range(request.sampling.n):
                text = self._rule(request.messages, index)
                for stop in request.sampling.stop:
                    text = text.partition(stop)[0]
                for word in re.findall(r"\s*\S+\s*", text)[: request.sampling.max_tokens]:
                    words += 1
                    yield Delta(index=index, text=word, tokens=1)
                yield Delta(index=index, finish="stop")
            yield Usage(await self.count(request), words)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise
        finally:
            self.at_once -= 1

    async def count(self, request: Generate) -> int:
        return sum(len(message["content"].split()) for message in request.messages)

    async def embed(self, texts: list[str]) -> tuple[np.ndarray, int]:
        """Counts of letters, so that texts of the same words are near."""
        if self.capabilities.embeds is None:
            raise UnsupportedError("no vectors", "model")
        if self._overloads:
            self._overloads -= 1
            raise OverloadedError("the queue is full")
        await asyncio.sleep(0)
        self.embedded += len(texts)
        self.most_embedded = max(self.most_embedded, len(texts))
        vectors = np.zeros((len(texts), 32), dtype=np.float32)
        for row, text in enumerate(texts):
            for character in text.lower():
                vectors[row, ord(character) % 32] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), sum(len(text.split()) for text in texts)

    async def close(self) -> None:
        pass


def last(messages: list[dict]) -> str:
    return messages[-1]["content"]


def structures(engine: RuleEngine) -> list[JsonSchema | None]:
    return [request.structure for request in engine.requests]


# A game: make 24 of some numbers. A step is "LEFT NUMBERS", each with how it came about, as "left: (2*3)=6; 4=4".

TARGET = 24


def play(messages: list[dict], choice: int) -> str:
    """Proposes all next steps, and values a step by trying all that can follow."""
    text = last(messages)
    if "Propose" in text:
        return "\n".join(f"{number}. {step}" for number, step in enumerate(_steps(_left(text)), 1))
    if "sure" in text:
        return "sure" if _solvable(_left(text)) else "impossible"
    return _left(messages[-2]["content"])[0][0]


def play_hopefully(messages: list[dict], choice: int) -> str:
    """As `play`, but an end in sight is needed to see that it is a dead one."""
    text = last(messages)
    if "sure" not in text or "Propose" in text:
        return play(messages, choice)
    left = _left(text)
    if len(left) > 1:
        return "likely"
    return "sure" if left[0][1] == TARGET else "impossible"


def _left(text: str) -> list[tuple[str, Fraction]]:
    if written := re.findall(r"left: (.*)", text):
        items = [item.rsplit("=", 1) for item in written[-1].split("; ")]
        return [(expression, Fraction(value)) for expression, value in items]
    return [(number, Fraction(number)) for number in re.findall(r"\d+", re.search(r"Numbers: (.*)", text)[1])]


def _next(left: list[tuple[str, Fraction]]) -> list[list[tuple[str, Fraction]]]:
    found = []
    for first, second in combinations(range(len(left)), 2):
        (a, x), (b, y) = left[first], left[second]
        rest = [item for index, item in enumerate(left) if index not in (first, second)]
        results = [(f"({a}+{b})", x + y), (f"({a}-{b})", x - y), (f"({b}-{a})", y - x), (f"({a}*{b})", x * y)]
        results += [(f"({a}/{b})", x / y)] if y else []
        found += [[result, *rest] for result in results]
    return found


def _steps(left: list[tuple[str, Fraction]]) -> list[str]:
    if len(left) == 1:
        return [f"Answer: {left[0][0]}"]
    return ["left: " + "; ".join(f"{expression}={value}" for expression, value in items) for items in _next(left)]


def _solvable(left: list[tuple[str, Fraction]]) -> bool:
    return left[0][1] == TARGET if len(left) == 1 else any(map(_solvable, _next(left)))
