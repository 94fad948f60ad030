"""The engine that the tests of local engines share, and ways to ask it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from weights_at_hand import smollm2_gguf

from mainspring.runtimes.language.chat_template import ChatTemplate
from mainspring.runtimes.language.local import LocalEngine, load_local
from mainspring.runtimes.language.preparing import Preparer
from mainspring.runtimes.language.protocol import Chosen, Delta, Generate, Sampling, ToolCall, Usage
from mainspring.weights.gguf_weights import requantize

_FOLDER = tempfile.TemporaryDirectory(prefix="mainspring-engines-")
CACHE_TOKENS = 12288


@dataclass
class Answered:
    """What came of a request."""

    deltas: list[Delta] = field(default_factory=list)
    usage: Usage | None = None

    def text(self, index: int = 0) -> str:
        return "".join(delta.text for delta in self.deltas if delta.index == index)

    def finish(self, index: int = 0) -> str | None:
        [found] = [delta.finish for delta in self.deltas if delta.index == index and delta.finish]
        return found

    def chosen(self, index: int = 0) -> list[Chosen]:
        return [one for delta in self.deltas if delta.index == index for one in delta.logprobs]

    def calls(self) -> list[ToolCall]:
        """The tool calls, each put together of its pieces."""
        found: dict[int, ToolCall] = {}
        for piece in (piece for delta in self.deltas for piece in delta.tool_calls):
            known = found.get(piece.index, ToolCall(index=piece.index, id=piece.id, name=piece.name))
            found[piece.index] = ToolCall(
                index=piece.index, id=known.id, name=known.name, arguments=known.arguments + piece.arguments
            )
        return list(found.values())


@cache
def exact_gguf() -> Path:
    """SmolLM2 in 8 bits, which every engine reads as they are written."""
    path = Path(_FOLDER.name) / "model.gguf"
    requantize(smollm2_gguf(), path, "Q8_0")
    return path


@cache
def exact_engine() -> LocalEngine:
    """It on OpenVINO, with no rounding. Loaded once, and never closed."""
    properties = {
        "precision": "32-bit",
        "sequences": 8,
        "cache_tokens": CACHE_TOKENS,
        "piece_tokens": 256,
        "queue": 16,
        "lookup": True,
    }
    return load_local(exact_gguf(), engine="openvino", properties=properties)


LLAMA = """{% if tools %}<|im_start|>system
Call a function by {"name": function name, "parameters": dictionary of its arguments}.<|im_end|>
{% endif %}{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}<|im_start|>assistant
"""


def in_llamas_way(engine: LocalEngine) -> Preparer:
    """What prepares requests to it as to a model of the Llama 3 kind."""
    return Preparer(engine._tokenizer, ChatTemplate(LLAMA), engine.capabilities)


def called_before(cities: list[str], call: str, **request: Any) -> Generate:
    """A conversation in which `call` was written for each city but the last."""
    messages = []
    for city in cities:
        messages += [{"role": "user", "content": f"{city}?"}, {"role": "assistant", "content": call.replace("$", city)}]
    return Generate(messages=messages[:-1], sampling=Sampling(temperature=0, max_tokens=40), **request)


def chat(text: str, **sampling: Any) -> Generate:
    return Generate(messages=[{"role": "user", "content": text}], sampling=Sampling(**sampling))


async def collect(engine: LocalEngine, request: Generate) -> Answered:
    answered = Answered()
    async for piece in engine.generate(request):
        if isinstance(piece, Usage):
            answered.usage = piece
        else:
            assert answered.usage is None, "usage comes last"
            answered.deltas.append(piece)
    return answered


def ask(engine: LocalEngine, *requests: Generate) -> Any:
    """The answer to a request, or those to several that are asked at the same time."""

    async def run() -> list[Answered]:
        return await asyncio.gather(*(collect(engine, request) for request in requests))

    answers = asyncio.run(run())
    return answers[0] if len(answers) == 1 else answers


def run(task: Callable[[], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        async with asyncio.timeout(60):
            return await task()

    return asyncio.run(go())


def penalised(logprobs: np.ndarray, written: list[int], *, presence_penalty=0.0, frequency_penalty=0.0) -> np.ndarray:
    """(length, vocabulary): less OpenAI's penalties, in each place for what of `written` stands before it."""
    counts = np.zeros_like(logprobs)
    for place, token in enumerate(written[:-1]):
        counts[place + 1 :, token] += 1
    return logprobs - presence_penalty * np.minimum(counts, 1) - frequency_penalty * counts
