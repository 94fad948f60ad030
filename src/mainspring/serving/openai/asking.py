"""What chat and completions share: how an engine's pieces become an answer, whole or streamed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from mainspring.runtimes.language.protocol import Delta, Generate, Usage
from mainspring.serving.answering import prediction_headers
from mainspring.serving.messages import Reply, Request, StreamedReply
from mainspring.serving.openai.answers import Head
from mainspring.serving.openai.attending import Asked, Attended, Attending
from mainspring.serving.openai.exchanges import Exchange
from mainspring.serving.openai.generation import Answer, pieces
from mainspring.serving.problems import Problem, openai_error
from mainspring.serving.retrieval.metrics import RetrievalMetrics
from mainspring.serving.streams import COMMENT, DONE, EVENT_STREAM, QUIET_SECONDS, STREAM_HEADERS, event

_encode = msgspec.json.Encoder().encode


class AskedToGenerate(Asked, Protocol):
    """A body that asks for answers."""

    @property
    def stream(self) -> bool | None:
        """Whether the answer is to come as it is made."""

    @property
    def include_usage(self) -> bool:
        """Whether a stream's last event says how many tokens it were."""

    @property
    def service_tier(self) -> Any:
        """The tier that is asked for."""


class Form(Protocol):
    """How the answer to one request is written. `index` counts the answers to all of its prompts."""

    operation: str
    prefix: str

    def __init__(self, head: Head, generates: list[Generate], *, with_usage: bool) -> None: ...

    def chunks(self, index: int, delta: Delta) -> Iterator[msgspec.Struct]:
        """The events for one piece."""

    def last(self, usage: Usage) -> msgspec.Struct:
        """The event that says how many tokens it were."""

    def whole(self, found: list[Answer], usage: Usage) -> msgspec.Struct:
        """All in one."""


@dataclass
class _Run:
    """The answers to one request in the making."""

    attended: Attended
    generates: list[Generate]
    form: Form
    answers: list[Answer]
    usages: list[Usage] = field(default_factory=list)

    @property
    def usage(self) -> Usage:
        cached = [usage.cached for usage in self.usages]
        return Usage(
            sum(usage.prompt for usage in self.usages),
            sum(usage.completion for usage in self.usages),
            None if None in cached else sum(filter(None, cached)),
        )


class Asking:
    """Answers the requests of both endpoints."""

    def __init__(self, attending: Attending, metrics: RetrievalMetrics) -> None:
        self._attending = attending
        self._metrics = metrics

    async def __call__(
        self, request: Request, asked: AskedToGenerate, generates: list[Generate], form: type[Form]
    ) -> Reply | StreamedReply:
        """The answer to one request, or the beginning of it.

        A stream begins with the first piece, so that what an engine refuses has a status of its own.

        Raises:
            Problem: there is none, and why.
            ClientGoneError: nobody waits for it any more.
        """
        if not asked.stream:
            async with request.unless_gone():
                body = await self._whole(request, asked, generates, form)
            return Reply(200, body, headers=prediction_headers(request))
        events = self._events(request, asked, generates, form)
        async with request.unless_gone():
            first = await anext(events)
        headers = (*prediction_headers(request), *STREAM_HEADERS)
        return StreamedReply(first, events, _failure, EVENT_STREAM, headers)

    async def _whole(
        self, request: Request, asked: AskedToGenerate, generates: list[Generate], form: type[Form]
    ) -> bytes:
        with self._attending(request, asked, form.operation) as attended:
            run = _begin(attended, asked, generates, form)
            async with aclosing(self._deltas(run)) as batches:
                async for _ in batches:
                    pass
            self._note(run)
            return _encode(run.form.whole(run.answers, run.usage))

    async def _events(
        self, request: Request, asked: AskedToGenerate, generates: list[Generate], form: type[Form]
    ) -> AsyncGenerator[bytes, None]:
        with self._attending(request, asked, form.operation) as attended:
            run = _begin(attended, asked, generates, form)
            async with aclosing(self._deltas(run)) as batches:
                async for batch in batches:
                    events = [event(chunk) for index, delta in batch for chunk in run.form.chunks(index, delta)]
                    yield b"".join(events) or COMMENT
            self._note(run)
            yield (event(run.form.last(run.usage)) if asked.include_usage else b"") + DONE

    async def _deltas(self, run: _Run) -> AsyncGenerator[list[tuple[int, Delta]], None]:
        """What the engine says, and to which of the answers it belongs; an empty list where it is quiet."""
        count, watch = run.generates[0].sampling.n, run.attended.watch
        found = pieces(run.attended.engine, run.generates, silence=self._attending.silence, quiet=QUIET_SECONDS)
        async with aclosing(found):
            async for batch in found:
                deltas = []
                for number, piece in batch:
                    if isinstance(piece, Usage):
                        run.usages.append(piece)
                        continue
                    watch.first()
                    index = number * count + piece.index
                    run.answers[index].add(piece)
                    deltas.append((index, piece))
                if deltas or not batch:
                    yield deltas
        watch.done(run.usage, max(answer.tokens for answer in run.answers))

    def _note(self, run: _Run) -> None:
        attended = run.attended
        for answered in filter(None, (answer.answered for answer in run.answers)):
            self._metrics.answered(attended.loaded.model, attended.loaded.name, answered.abstained)
        self._attending.note(
            Exchange.of(attended.request, attended.slot, attended.loaded, run.generates, run.answers, run.usage)
        )


def _begin(attended: Attended, asked: AskedToGenerate, generates: list[Generate], form: type[Form]) -> _Run:
    for generate in generates:
        attended.check(generate)
    request = attended.request
    head = Head(
        form.prefix + request.unique,
        int(request.seen),
        asked.model,
        attended.fingerprint,
        UNSET if asked.service_tier is None else "default",
    )
    answers = [Answer() for _ in range(len(generates) * generates[0].sampling.n)]
    return _Run(attended, generates, form(head, generates, with_usage=asked.include_usage), answers)


def _failure(problem: Problem) -> bytes:
    return event(openai_error(problem))
