"""An `Engine` over a backend that knows tokens only.

A request becomes one job for each of its `n` answers: its messages go through the chat template and the tokenizer, and
its structure and tools become a grammar. What the backend gives back becomes text here, so that templates, stop strings
and tool calls are the same on every backend. `turns` says who is served when, `worker` is the thread that it happens
on, `choices` turns tokens into pieces of an answer.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np

from mainspring.errors import MainspringError, RuntimeLoadError, UnsupportedError
from mainspring.runtimes.language import llamacpp, openvino
from mainspring.runtimes.language.backend import Backend, Event, Job
from mainspring.runtimes.language.chat_template import ChatTemplate
from mainspring.runtimes.language.choices import Choice
from mainspring.runtimes.language.preparing import Prepared, Preparer
from mainspring.runtimes.language.protocol import Capabilities, Delta, EngineInfo, Generate, Usage
from mainspring.runtimes.language.quoting import Quoting
from mainspring.runtimes.language.settings import Settings, read_settings
from mainspring.runtimes.language.sizes import sizes
from mainspring.runtimes.language.tokens import Tokenizer
from mainspring.runtimes.language.worker import Worker
from mainspring.weights.gguf import Header, read_header

_SEEDS = 2**32


class LocalEngine:
    """A model in this process.

    Args:
        backend: what runs it. The engine closes it.
        tokenizer: the model's own.
        template: its chat template; None for a model that does not chat.
        info: what it is, and why this one.
        queue: the most answers that may wait for their turn; beyond them a request is refused.
    """

    def __init__(
        self,
        backend: Backend,
        tokenizer: Tokenizer,
        template: ChatTemplate | None,
        info: EngineInfo,
        *,
        queue: int = 512,
    ) -> None:
        able = backend.abilities
        self._tokenizer = tokenizer
        self._template = template
        self._info = info
        self._capabilities = Capabilities(
            context=able.context,
            chat=template is not None,
            logprobs=able.logprobs,
            structures=("json_object", "json_schema"),
            tools=template is not None,
            lookup=able.lookup,
            seed=True,
        )
        self._preparer = Preparer(tokenizer, template, self._capabilities)
        self._end_ids = frozenset(tokenizer.end_ids)
        self._backend = backend
        self._quoting = Quoting(_frame(self._preparer, template))
        self._numbers = itertools.count()
        self._streams: dict[int, asyncio.Queue[Event]] = {}
        self._worker = Worker(backend, self._deliver, queue=queue)

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return self._capabilities

    @property
    def info(self) -> EngineInfo:
        """Which engine it is, and why this one."""
        return self._info

    @property
    def broken(self) -> str | None:
        """What broke the backend for good; None while it works. The process is then to be started anew."""
        return self._worker.broken

    async def generate(self, request: Generate) -> AsyncGenerator[Delta | Usage, None]:
        """Answer `request`, piece by piece; `Usage` comes last. Closing the iterator cancels.

        Raises:
            RequestError: before the first piece; what is asked for is wrong, too long (ContextError), or beyond this
                engine (UnsupportedError).
            OverloadedError: before the first piece; too many wait.
            EngineGoneError: the backend broke.
        """
        prepared = self._preparer.prepare(request)
        end_ids = frozenset() if request.sampling.ignore_end else self._end_ids
        jobs, choices = {}, {}
        written: dict[int, list[int]] = {}
        lookup = self._lookup(request, prepared)
        seed = secrets.randbelow(_SEEDS) if request.sampling.seed is None else request.sampling.seed
        for index in range(request.sampling.n):
            number = next(self._numbers)
            jobs[number] = Job(
                prompt=prepared.prompt,
                sampling=request.sampling,
                max_tokens=prepared.max_tokens,
                seed=(seed + index) % _SEEDS,
                end_ids=end_ids,
                grammar=prepared.grammar,
                lookup=lookup,
            )
            before = None if request.messages is not None else prepared.prompt[-1]
            written[number] = []
            choices[number] = Choice(self._tokenizer, index, request.sampling.stop, prepared.reader(), end_ids, before)
        events: asyncio.Queue[Event] = asyncio.Queue()
        self._worker.submit(jobs)
        self._streams.update(dict.fromkeys(jobs, events))
        cached = 0
        try:
            while self._streams.keys() & jobs.keys():
                event = await events.get()
                if event.error:
                    raise event.error
                if event.cached is not None:
                    cached = event.cached if event.job == min(jobs) else cached  # the others share what it computes
                choice = choices[event.job]
                if choice.finish:
                    continue
                written[event.job] += event.tokens
                if delta := choice.feed(event):
                    yield delta
                if choice.finish:
                    self._forget([event.job], cancel=not event.finish)
            if self._capabilities.lookup and request.sampling.temperature == 0:
                self._quoting.learn(prepared.prompt, written[min(written)])
            yield Usage(len(prepared.prompt), sum(choice.tokens for choice in choices.values()), cached)
        finally:
            self._forget(list(jobs), cancel=True)

    async def count(self, request: Generate) -> int:
        """How many tokens the prompt of `request` has."""
        return len(self._preparer.prompt(request))

    async def embed(self, texts: list[str] | list[list[int]]) -> tuple[np.ndarray, int]:
        """Refused: this model writes text, and gives no vectors."""
        raise UnsupportedError("this model writes text, and gives no vectors: use one with task = 'embedding'", "model")

    async def close(self) -> None:
        """Let go of the model. What runs is cancelled."""
        await asyncio.get_running_loop().run_in_executor(None, self._worker.close)

    def _lookup(self, request: Generate, prepared: Prepared) -> bool:
        """Whether to look up. Unasked only where it changes nothing: for greedy answers that nothing else holds to."""
        if request.lookup is not None:
            return request.lookup and self._backend.can_look_up()
        sampling = request.sampling
        plain = not (sampling.presence_penalty or sampling.frequency_penalty or prepared.grammar)
        return (
            self._capabilities.lookup
            and plain
            and sampling.temperature == 0
            and sampling.logprobs is None
            and self._quoting.pays(prepared.prompt, len(self._streams) + sampling.n - 1)
            and self._backend.can_look_up()
        )

    def _forget(self, numbers: list[int], *, cancel: bool) -> None:
        known = [number for number in numbers if self._streams.pop(number, None)]
        if known and cancel:
            self._worker.cancel(known)

    def _deliver(self, events: list[Event]) -> None:
        for event in events:
            if stream := self._streams.get(event.job):
                stream.put_nowait(event)


def _frame(preparer: Preparer, template: ChatTemplate | None) -> tuple[list[int], list[int]]:
    """Two prompts that differ in what is asked alone; nothing of a model without a chat template."""
    if template is None:
        return [], []
    asked = ("A cat sleeps", "We sing")
    try:
        one, other = (preparer.prompt(Generate(messages=[{"role": "user", "content": text}])) for text in asked)
    except MainspringError:  # a template that wants more than one message of the user
        return [], []
    return one, other


def load_local(gguf: Path, *, engine: str = "auto", properties: dict[str, Any] | None = None) -> LocalEngine:
    """The engine of a GGUF file: OpenVINO where it reads the architecture, else llama.cpp.

    Args:
        gguf: the model.
        engine: "auto", "openvino" or "llamacpp".
        properties: see `settings.Settings`.

    Raises:
        RuntimeLoadError, WeightsError: the file cannot be loaded, or the properties are wrong.
        MissingExtraError: the engine is not installed.
    """
    settings = read_settings(properties or {})
    header = read_header(gguf)
    tokenizer = Tokenizer.from_header(header)
    template = ChatTemplate.from_header(header)
    backend, info = _backend(gguf, header, engine, settings)
    return LocalEngine(backend, tokenizer, template, info, queue=settings.queue)


def _backend(gguf: Path, header: Header, engine: str, settings: Settings) -> tuple[Backend, EngineInfo]:
    """What runs the file, and why that."""
    size = sizes(header)
    reads = size.architecture in openvino.ARCHITECTURES
    if engine == "auto":
        why = f"OpenVINO is the fastest, and {'reads' if reads else 'does not read'} {size.architecture} models"
    else:
        why = f"it was asked for, for a {size.architecture} model"
    detail = f"{size.architecture}, {settings.sequences} answers at once, {settings.precision}"
    if engine == "openvino" or (engine == "auto" and reads):
        return openvino.OpenVinoBackend(gguf, size, settings), EngineInfo("openvino", detail, why)
    if engine in ("auto", "llamacpp"):
        detail = f"{size.architecture}, {settings.sequences} answers at once"
        return llamacpp.LlamaCppBackend(gguf, size, settings), EngineInfo("llamacpp", detail, why)
    raise RuntimeLoadError(f"the engine is 'auto', 'openvino' or 'llamacpp', found {engine!r}")
