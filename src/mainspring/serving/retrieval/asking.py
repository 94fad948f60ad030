"""`POST /models/{name}/ask`: a question in, an answer from documents out, with its citations.

    {"question": "May I take a violin?"}
    {"id": "0197…", "model": "desk", "version": "3", "answer": "A violin counts as cabin baggage. [1]",
     "abstained": false, "citations": [{"begin": 0, "end": 34, "number": 1, "document": "baggage.md", …}], …}

A chat model with knowledge writes; a collection of documents itself is answered in its own sentences. With `stream` the
answer comes as server-sent events, `{"text": …}` as it is made, at last the whole object, and `[DONE]`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import dataclass, field

import msgspec

from mainspring.runtimes.index.filters import Filter
from mainspring.runtimes.language.protocol import Delta, Generate, Message, Sampling, Usage
from mainspring.serving.answering import business_key, prediction_headers
from mainspring.serving.language import LanguageVersion
from mainspring.serving.live import LiveVersion
from mainspring.serving.messages import Reply, Request, StreamedReply
from mainspring.serving.openai.exchanges import Exchange
from mainspring.serving.openai.generation import Answer, pieces
from mainspring.serving.predict import require_json
from mainspring.serving.problems import Problem, own_error
from mainspring.serving.retrieval.attending import Attended, Retrieving
from mainspring.serving.retrieval.bodies import AskRequest, read_question
from mainspring.serving.retrieval.knowledge import Answerer, Assistants
from mainspring.serving.retrieval.results import AskResult, fields_of
from mainspring.serving.retrieval.rows import Row
from mainspring.serving.retrieval.version import RetrievalVersion
from mainspring.serving.streams import COMMENT, DONE, EVENT_STREAM, QUIET_SECONDS, STREAM_HEADERS, event

_decoder = msgspec.json.Decoder(AskRequest)
_encode = msgspec.json.Encoder().encode


class AskPiece(msgspec.Struct, frozen=True):
    """A piece of an answer that is streamed."""

    text: str


@dataclass
class _Run:
    """One answer in the making."""

    request: Request
    attended: Attended
    answerer: Answerer
    generate: Generate
    answer: Answer = field(default_factory=Answer)
    usage: Usage = field(default_factory=lambda: Usage(0, 0))


class DocumentAsking:
    """The endpoint. `silence` is the longest that nothing may come, in seconds."""

    def __init__(self, retrieving: Retrieving, assistants: Assistants, silence: float) -> None:
        self._retrieving, self._assistants, self._silence = retrieving, assistants, silence

    async def __call__(self, request: Request, name: str) -> Reply | StreamedReply:
        """Answer one request to the model `name`, or begin to.

        A stream begins with the first piece, so that what cannot be answered has a status of its own.

        Raises:
            Problem: there is no answer, and why.
            ClientGoneError: nobody waits for it any more.
        """
        require_json(request)
        request.model = self._retrieving.slots.find(name).name
        asked, where = read_question(request.body, _decoder)
        if not asked.stream:
            async with request.unless_gone():
                body = await self._whole(request, name, asked, where)
            return Reply(200, body, headers=prediction_headers(request))
        events = self._events(request, name, asked, where)
        async with request.unless_gone():
            first = await anext(events)
        headers = (*prediction_headers(request), *STREAM_HEADERS)
        return StreamedReply(first, events, lambda problem: event(own_error(problem)), EVENT_STREAM, headers)

    async def _whole(self, request: Request, name: str, asked: AskRequest, where: Filter | None) -> bytes:
        with self._begun(request, name, asked, where) as run:
            async with aclosing(self._deltas(run)) as batches:
                async for _ in batches:
                    pass
            return _encode(self._done(run))

    async def _events(
        self, request: Request, name: str, asked: AskRequest, where: Filter | None
    ) -> AsyncGenerator[bytes, None]:
        with self._begun(request, name, asked, where) as run:
            async with aclosing(self._deltas(run)) as batches:
                async for batch in batches:
                    yield b"".join(event(AskPiece(delta.text)) for delta in batch if delta.text) or COMMENT
            yield event(self._done(run)) + DONE

    @contextmanager
    def _begun(self, request: Request, name: str, asked: AskRequest, where: Filter | None) -> Iterator[_Run]:
        with self._retrieving(request, name, "ask", "question") as attended, ExitStack() as leases:
            loaded = attended.loaded
            if isinstance(loaded, RetrievalVersion):
                answerer = self._assistants.quoting(loaded, where, asked.k)
            elif isinstance(loaded, LanguageVersion) and loaded.knowledge is not None:
                key = business_key(request)
                answerer = leases.enter_context(self._assistants.answerer(loaded, request, key, where, asked.k))
            else:
                raise no_documents(loaded)
            messages: list[Message] = [{"role": turn.role, "content": turn.content} for turn in asked.messages]
            generate = Generate(
                messages=[*messages, {"role": "user", "content": asked.question}], sampling=Sampling(temperature=0.0)
            )
            yield _Run(request, attended, answerer, generate)

    async def _deltas(self, run: _Run) -> AsyncGenerator[list[Delta], None]:
        """The pieces of the answer; an empty list where nothing comes for a while."""
        found = pieces(run.answerer.engine, [run.generate], silence=self._silence, quiet=QUIET_SECONDS)
        async with aclosing(found):
            async for batch in found:
                deltas = []
                for _, piece in batch:
                    if isinstance(piece, Usage):
                        run.usage = piece
                        continue
                    run.attended.watch.first()
                    run.answer.add(piece)
                    deltas.append(piece)
                if deltas or not batch:
                    yield deltas
        run.attended.watch.done(run.usage, run.answer.tokens)

    def _done(self, run: _Run) -> AskResult:
        """The whole answer, which is counted and noted."""
        request, loaded, answer = run.request, run.attended.loaded, run.answer
        answered = answer.answered
        assert answered is not None  # the last piece of every answer from documents says how it came about
        self._retrieving.metrics.answered(loaded.model, loaded.name, answered.abstained)
        if isinstance(loaded, LanguageVersion):
            exchange = Exchange.of(request, run.attended.slot, loaded, [run.generate], [answer], run.usage)
            exchange.write(self._retrieving.log)
        else:
            [*_, (_, result)] = run.answerer.search.results
            question = run.generate.messages[-1]["content"] if run.generate.messages else ""
            Row.of(request).write(self._retrieving.log, loaded, question, result, answer)
        return AskResult(
            id=request.unique,
            model=loaded.model,
            version=loaded.name,
            **fields_of(answer.text, answer.citations, answered, run.answerer.search.found),
        )


def no_documents(loaded: LiveVersion) -> Problem:
    """What is answered where the model that is asked answers from no documents."""
    return Problem(
        400,
        f"{loaded.model} answers from no documents: ask a collection of documents, or a chat model with `knowledge`. "
        f"{loaded.wrong_kind().message}",
    )
