"""An engine that says what it is told to, word by word, and a process that hosts three of them.

What the last message says is what is done:

    call NAME JSON | NAME JSON …   tool calls
    fail KIND                      the error KIND, before anything is said
    break KIND …                   the error KIND, after two words
    slowly SECONDS TEXT            TEXT, with pauses
    anything else                  that, again
"""

from __future__ import annotations

import asyncio
import math
import re
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np

from mainspring.errors import ContextError, OverloadedError, RequestError, UnsupportedError
from mainspring.runtimes.language import host
from mainspring.runtimes.language.protocol import (
    Capabilities,
    Chosen,
    Delta,
    EngineInfo,
    Generate,
    Likely,
    ToolCall,
    Usage,
)

CACHED = 3
ERRORS = {
    "context": ContextError("the prompt has 9000 tokens, and the context 8192", "messages"),
    "length": ContextError("the prompt has 9 tokens and 9000 are asked for; the context has 8192", "max_tokens"),
    "schema": UnsupportedError("`not` cannot be enforced", "response_format.json_schema.schema.not"),
    "request": RequestError("the template refuses this", "messages"),
    "full": OverloadedError("512 answers wait already"),
    "defect": ZeroDivisionError("a defect of the engine's"),
}
_WORD = re.compile(r"\S+\s*|\s+")


class Reciter:
    """See above. It writes down what it began, ended and gave up."""

    info = EngineInfo("reciter", "words", "for tests")

    def __init__(self, diary: Path, capabilities: Capabilities) -> None:
        self._diary = diary
        self.capabilities = capabilities
        self._last: Generate | None = None

    async def generate(self, request: Generate) -> AsyncGenerator[Delta | Usage, None]:
        text = _last(request)
        kind, _, rest = text.partition(" ")
        self._note(f"begin {text[:40]}")
        try:
            if kind == "fail":
                raise ERRORS[rest]
            completion = 0
            for index in range(request.sampling.n):
                async for delta in self._answer(request, index, kind, rest, text):
                    completion += delta.tokens
                    yield delta
            yield Usage(_tokens(request), completion, CACHED)
            self._note(f"end {text[:40]}")
        except (asyncio.CancelledError, GeneratorExit):
            self._note(f"cancel {text[:40]}")
            raise

    async def _answer(
        self, request: Generate, index: int, kind: str, rest: str, text: str
    ) -> AsyncGenerator[Delta, None]:
        if kind == "call" and request.tools:
            for delta in _calls(index, rest):
                yield delta
            return
        pause = 0.0
        if kind == "slowly":
            seconds, _, text = rest.partition(" ")
            pause = float(seconds)
        sampling = request.sampling
        finish = "stop"
        for stop in sampling.stop:
            text = text.split(stop)[0]
        for count, word in enumerate(_WORD.findall(text)):
            if count == sampling.max_tokens:
                finish = "length"
                break
            if kind == "break" and count == 2:
                raise ERRORS[rest.split()[0]]
            if pause:
                await asyncio.sleep(pause)
            yield Delta(index=index, text=word, tokens=1, logprobs=_logprobs(word, count, sampling.logprobs))
        yield Delta(index=index, finish=finish)

    async def count(self, request: Generate) -> int:
        return _tokens(request)

    async def embed(self, texts: list[str] | list[list[int]]) -> tuple[np.ndarray, int]:
        width = self.capabilities.embeds
        if width is None:
            raise UnsupportedError("this model writes", "model")
        if texts == ["slowly"]:
            await asyncio.sleep(30)
        if texts == ["long"]:
            raise ContextError("text 0 has 9000 tokens, and 512 fit", "texts[0]")
        vectors = np.array([[len(text) + place for place in range(width)] for text in texts], np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), sum(len(text) for text in texts)

    async def close(self) -> None: ...

    def _note(self, line: str) -> None:
        with self._diary.open("a") as file:
            file.write(line + "\n")


def _last(request: Generate) -> str:
    if request.messages is not None:
        return str(request.messages[-1]["content"])
    return request.prompt if isinstance(request.prompt, str) else f"tokens {request.prompt}"


def _tokens(request: Generate) -> int:
    texts = [str(m["content"]) for m in request.messages] if request.messages else [_last(request)]
    return sum(len(text.split()) for text in texts)


def _calls(index: int, rest: str) -> list[Delta]:
    """Each call in three pieces: its name, and its arguments in two."""
    deltas = []
    for number, call in enumerate(rest.split(" | ")):
        name, _, arguments = call.partition(" ")
        half = len(arguments) // 2
        pieces = (
            ToolCall(number, f"call_{number}", name),
            ToolCall(number, arguments=arguments[:half]),
            ToolCall(number, arguments=arguments[half:]),
        )
        deltas += [Delta(index=index, tokens=1, tool_calls=(piece,)) for piece in pieces]
    return [*deltas, Delta(index=index, finish="tool_calls")]


def _logprobs(word: str, place: int, wanted: int | None) -> tuple[Chosen, ...]:
    if wanted is None:
        return ()
    rivals = tuple(Likely(f"r{k}", -math.inf if k == 1 else -1.0 - k, f"r{k}".encode()) for k in range(wanted))
    return (Chosen(word, -0.5 * place, word.encode(), rivals),)


ENGINES = {
    "desk": Capabilities(
        context=8192, logprobs=20, structures=("json_object", "json_schema"), tools=True, seed=True, lookup=True
    ),
    "writer": Capabilities(context=8192, chat=False),
    "vectors": Capabilities(context=512, generates=False, chat=False, embeds=4),
}
HOST = "import sys; from serving.openai import reciter; reciter.main(*sys.argv[1:])"


def main(diary: str, *names_and_sockets: str) -> None:
    """Host an engine at each socket: `NAME SOCKET NAME SOCKET …`."""

    async def run() -> None:
        pairs = zip(names_and_sockets[::2], names_and_sockets[1::2], strict=True)
        await asyncio.gather(*(host.serve(Reciter(Path(diary), ENGINES[name]), Path(socket)) for name, socket in pairs))

    asyncio.run(run())


if __name__ == "__main__":
    main(*sys.argv[1:])
