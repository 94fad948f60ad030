"""`KnowledgeEngine`: an engine that answers from passages, for whoever asks an engine."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import numpy as np

from mainspring.errors import ContextError, UnsupportedError
from mainspring.prompts.answering.citations import Answer
from mainspring.prompts.answering.conflicts import conflicts
from mainspring.prompts.answering.follow_ups import (
    either,
    needs_conversation,
    with_conversation,
)
from mainspring.prompts.answering.layout import Conversation, Layout, conversation, lay_out, stable
from mainspring.prompts.answering.quoting import Embed, best_sentences
from mainspring.prompts.answering.sentences import Sentences
from mainspring.prompts.answering.settings import Answering
from mainspring.prompts.answering.support import Evidence
from mainspring.runtimes.index.filters import Filter
from mainspring.runtimes.index.found import Search, Searched
from mainspring.runtimes.language.protocol import (
    Answered,
    Capabilities,
    Delta,
    Engine,
    EngineInfo,
    Finish,
    Generate,
    Usage,
)

CONFLICT = "The documents do not agree on this:"
_REWRITTEN = 64  # tokens of a question, at most


class KnowledgeEngine:
    """Answers a conversation's last question from what `search` finds, and says where it stands.

    The answer comes sentence by sentence, each when it was checked; the last piece has the citations. It is written by
    `engine` and checked, or quoted from the passages; where nothing that was written is supported, it is quoted, too.
    Without passages that hold an answer it says so, and the engine is not asked.

    Args:
        engine: the language model. It is not closed with this.
        search: of the index.
        settings: how it answers.
        embed: vectors of sentences, (n, width) of length 1, to choose those that are quoted; else by their words.

    >>> async for piece in KnowledgeEngine(engine, search, Answering()).generate(request): ...     # doctest: +SKIP
    """

    def __init__(self, engine: Engine, search: Search, settings: Answering, *, embed: Embed | None = None) -> None:
        self._engine = engine
        self._search = search
        self._settings = settings
        self._embed = embed

    @property
    def capabilities(self) -> Capabilities:
        """The language model's, without what makes no sense of a checked text."""
        return msgspec.structs.replace(
            self._engine.capabilities, chat=True, logprobs=None, structures=(), tools=False, embeds=None
        )

    @property
    def info(self) -> EngineInfo:
        """The language model's."""
        return self._engine.info

    async def generate(self, request: Generate) -> AsyncGenerator[Delta | Usage, None]:
        """See `Engine.generate`: `answer`, from all passages."""
        async with aclosing(self.answer(request)) as pieces:
            async for piece in pieces:
                yield piece

    async def answer(self, request: Generate, where: Filter | None = None) -> AsyncGenerator[Delta | Usage, None]:
        """Answer the last question of `request.messages`, from the passages that `where` allows.

        Raises:
            UnsupportedError: before the first piece; it is no conversation, or asks for tools, a structure, logprobs or
                several answers.
            ContextError: before the first piece; the question is too long for the embedder or the model.
            StoreError, OverloadedError, EngineGoneError: search or model cannot be asked now.
        """
        said = _understood(request)
        question, searched = await self._found(said, where)
        under_way = _UnderWay(request, said, question, searched)
        if not searched.found or _unanswerable(searched):
            async for piece in self._abstained(under_way):
                yield piece
            return
        if self._settings.answers == "written":
            async with aclosing(self._written(under_way)) as pieces:
                async for piece in pieces:
                    yield piece
        if under_way.answer is None or not (under_way.answer.citations or under_way.refused):
            async for piece in self._quoted(under_way):
                yield piece
        if under_way.refused:
            async for piece in self._abstained(under_way):
                yield piece
            return
        async for piece in self._end(under_way):
            yield piece

    async def count(self, request: Generate) -> int:
        """How many tokens the prompt of `request` has, with its passages."""
        said = _understood(request)
        _, searched = await self._found(said, None)
        if not searched.found or _unanswerable(searched) or self._settings.answers == "quoted":
            return 0
        layout = await lay_out(self._engine, self._settings, said, searched.found, request.sampling.max_tokens)
        return await self._engine.count(msgspec.structs.replace(request, messages=layout.messages))

    async def embed(self, texts: list[str] | list[list[int]]) -> tuple[np.ndarray, int]:
        """Refused: see `Engine.embed`."""
        raise UnsupportedError("an assistant writes text, and gives no vectors: ask the embedding model", "model")

    async def close(self) -> None:
        """Nothing is held here: the language model and the index are closed by whoever opened them."""

    async def _found(self, said: Conversation, where: Filter | None) -> tuple[str, Searched]:
        """What is searched for, and the passages."""
        k = self._settings.passages
        if not said.questions or not needs_conversation(said.question):
            return said.question, await self._search(said.question, k, where)
        longer = with_conversation(said.question, said.questions)
        found = await asyncio.gather(self._search(said.question, k, where), self._in_short(longer, k, where))
        return longer, either([searched for searched in found if searched is not None], k)

    async def _in_short(self, form: str, k: int, where: Filter | None) -> Searched | None:
        """What a longer form of the question finds, if the embedder takes it."""
        try:
            return await self._search(form, k, where)
        except ContextError:
            return None

    async def _written(self, now: _UnderWay) -> AsyncGenerator[Delta, None]:
        """What the model writes, as far as it is supported."""
        settings, sampling = self._settings, now.request.sampling
        most = sampling.max_tokens or settings.tokens
        layout = await lay_out(self._engine, settings, now.said, now.searched.found, most)
        now.lay_out(layout, marks=settings.unsupported == "marked")
        assert now.answer is not None
        growing = Sentences()
        # Without a bound a model that has lost itself goes on to the end of its context.
        sampling = msgspec.structs.replace(sampling, max_tokens=most)
        asked = msgspec.structs.replace(now.request, messages=layout.messages, sampling=sampling)
        async with aclosing(cast(Any, self._engine.generate(asked))) as pieces:
            async for piece in pieces:
                if isinstance(piece, Usage):
                    now.usage = piece
                    continue
                now.tokens += piece.tokens
                now.finish = piece.finish or now.finish
                complete = growing.feed(piece.text)
                if piece.finish:
                    complete += growing.end()
                for delta in self._checked(now, complete):
                    yield delta
                if now.refused or now.answer.removed_in_a_row >= settings.patience:
                    now.finish = "stop"
                    break
        if now.usage is None:  # it was stopped in between
            now.usage = Usage(await self._counted(asked) or 0, now.tokens)

    def _checked(self, now: _UnderWay, complete: list[tuple[str, str]]) -> Iterator[Delta]:
        """A piece for each sentence, empty where it is removed, so that who waits hears that work goes on."""
        assert now.answer is not None
        for gap, sentence in complete:
            if not now.answer.text and _same(sentence, self._settings.abstention):
                now.refused = True
                return
            yield now.delta(now.answer.take(gap, sentence))

    async def _quoted(self, now: _UnderWay) -> AsyncGenerator[Delta, None]:
        """The sentences of the passages that are nearest to the question."""
        now.quoted = True
        if now.answer is None:
            now.lay_out(Layout([], stable(now.searched.found), 0), marks=False)
        assert now.answer is not None
        assert now.evidence is not None
        ids = [found.id for found in now.searched.found]
        ranks = [ids.index(found.id) for found in now.evidence.passages]
        chosen = await best_sentences(now.question, now.evidence, ranks, self._settings.sentences, self._embed)
        sampling = now.request.sampling
        text = now.answer.text
        for at, window in chosen:
            text = f"{text} {window.text}"
            if any(stop in window.text for stop in sampling.stop):
                break
            if sampling.max_tokens is not None and await self._longer(text, sampling.max_tokens):
                now.finish = "length"
                break
            yield now.delta(now.answer.quote("", at, window))

    async def _longer(self, text: str, most: int) -> bool:
        """Whether `text` has more than `most` tokens. Three bytes are taken for one, if the engine does not count."""
        size = len(text.encode())
        if size <= most:
            return False
        return (await self._counted(Generate(prompt=text)) or size / 3) > most

    async def _counted(self, asked: Generate) -> int | None:
        try:
            return await self._engine.count(asked)
        except UnsupportedError:
            return None

    async def _abstained(self, now: _UnderWay) -> AsyncGenerator[Delta | Usage, None]:
        answered = now.answered(abstained=True)
        gap = "\n\n" if now.answer is not None and now.answer.text else ""
        yield Delta(text=gap + self._settings.abstention, tokens=now.untold())
        yield Delta(finish="stop", answered=answered)
        yield now.took()

    async def _end(self, now: _UnderWay) -> AsyncGenerator[Delta | Usage, None]:
        """The conflicts, the citations, and what it took."""
        assert now.answer is not None
        assert now.evidence is not None
        if not now.answer.citations and now.finish != "length":
            async for piece in self._abstained(now):
                yield piece
            return
        found = conflicts(now.evidence, list(now.answer.cited()))
        for number, conflict in enumerate(found):
            text = now.answer.say("\n\n", CONFLICT) if number == 0 else ""
            text += now.answer.quote("", conflict.passage, conflict.window)
            text += now.answer.quote("", conflict.other_passage, conflict.other)
            yield now.delta(text)
        yield Delta(
            tokens=now.untold(),
            finish=now.finish,
            citations=tuple(now.answer.citations),
            answered=now.answered(conflicts=len(found)),
        )
        yield now.took()


@dataclass
class _UnderWay:
    """One answer being made."""

    request: Generate
    said: Conversation
    question: str
    searched: Searched
    evidence: Evidence | None = None
    answer: Answer | None = None
    left_out: int = 0
    quoted: bool = False
    refused: bool = False
    finish: Finish = "stop"
    tokens: int = 0
    usage: Usage | None = None
    _told: int = field(default=0)

    def lay_out(self, layout: Layout, *, marks: bool) -> None:
        """Begin an answer from these passages."""
        self.evidence = Evidence(layout.passages)
        self.answer = Answer(self.evidence, marks=marks)
        self.left_out = layout.left_out

    def delta(self, text: str) -> Delta:
        """A piece of the answer."""
        return Delta(text=text, tokens=self.untold())

    def untold(self) -> int:
        """The tokens that no piece has told of yet."""
        tokens, self._told = self.tokens - self._told, self.tokens
        return tokens

    def took(self) -> Usage:
        """All that the model took."""
        return self.usage or Usage(0, 0)

    def answered(self, *, abstained: bool = False, conflicts: int = 0) -> Answered:
        """How it came about."""
        used = [found.id for found in self.searched.found]
        if self.evidence is not None:
            shown = {found.id for found in self.evidence.passages}
            used = [id_ for id_ in used if id_ in shown]
        return Answered(
            question=self.question,
            passages=tuple(used),
            left_out=self.left_out,
            abstained=abstained,
            answerable=self.searched.answerable,
            threshold=self.searched.threshold,
            quoted=self.quoted and not abstained,
            removed=self.answer.removed if self.answer else 0,
            conflicts=conflicts,
        )


def _understood(request: Generate) -> Conversation:
    """The conversation of `request`; UnsupportedError, where it asks for what an answer from passages cannot be."""
    sampling = request.sampling
    if request.prompt is not None:
        raise UnsupportedError("an assistant with knowledge answers a conversation: send messages", "prompt")
    if request.tools:
        raise UnsupportedError("an assistant with knowledge answers from its documents: leave out tools", "tools")
    if request.structure is not None:
        raise UnsupportedError(
            "an answer from documents is text with citations: ask the chat model itself for JSON", "response_format"
        )
    if sampling.logprobs is not None:
        raise UnsupportedError(
            "a checked answer is not the model's own, and has no logprobs: leave them out", "logprobs"
        )
    if sampling.n > 1:
        raise UnsupportedError("an assistant with knowledge gives one answer: ask again for another", "n")
    return conversation(request.messages)


def _unanswerable(searched: Searched) -> bool:
    known = searched.answerable is not None and searched.threshold is not None
    return known and cast(float, searched.answerable) < cast(float, searched.threshold)


def _same(sentence: str, abstention: str) -> bool:
    def bare(text: str) -> str:
        return " ".join(re.findall(r"\w+", text.casefold().replace("cannot", "can not")))

    return bare(sentence) == bare(abstention)
