"""Chat models that answer from documents: their engine, with the version of the collection that is live."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from mainspring.prompts.answering import Answering, KnowledgeEngine
from mainspring.runtimes.index.filters import Filter
from mainspring.runtimes.index.noting import NotedSearch
from mainspring.runtimes.language.protocol import Engine
from mainspring.serving.answering import business_key
from mainspring.serving.ids import new_id
from mainspring.serving.language import LanguageVersion
from mainspring.serving.messages import Request
from mainspring.serving.problems import Problem
from mainspring.serving.retrieval.attending import Retrieving
from mainspring.serving.retrieval.rows import Row
from mainspring.serving.retrieval.version import RetrievalVersion


@dataclass(frozen=True)
class Answerer:
    """What answers one request from documents, and what it searches with."""

    engine: Engine
    search: NotedSearch


class Assistants:
    """Brings together chat models and what they know."""

    def __init__(self, retrieving: Retrieving) -> None:
        self._retrieving = retrieving

    @contextmanager
    def engine(self, loaded: LanguageVersion, request: Request, key: str = "") -> Iterator[Engine]:
        """What answers a request to a language model: its engine, and where it has knowledge, with that.

        Raises:
            Problem: its documents cannot be searched now, and what to do.
        """
        if loaded.knowledge is None:
            yield loaded.engine
            return
        with self.answerer(loaded, request, key) as answerer:
            yield answerer.engine

    @contextmanager
    def answerer(
        self,
        loaded: LanguageVersion,
        request: Request,
        key: str = "",
        where: Filter | None = None,
        passages: int | None = None,
    ) -> Iterator[Answerer]:
        """What answers from the documents that `where` lets through. The searches are noted in the collection's log.

        The collection's version is kept in memory meanwhile; `key` chooses between champion and canary, as ever.
        """
        knowledge = loaded.knowledge
        assert knowledge is not None
        settings = knowledge.answering(loaded.instructions, passages)
        if loaded.foreign is not None:
            search = NotedSearch(partial(self._retrieving.foreign, loaded.foreign), where)
            yield Answerer(KnowledgeEngine(loaded.engine, search, settings), search)
            return
        documents = self._lease(loaded, knowledge.model, key)
        try:
            answerer = self._answerer(loaded.engine, documents, settings, where)
            yield answerer
            # An answer may need several searches, so that each has an id of its own.
            for question, result in answerer.search.results:
                row = Row(new_id(), request.seen, business_key(request))
                row.write(self._retrieving.log, documents, question, result)
        finally:
            documents.release()

    def quoting(self, documents: RetrievalVersion, where: Filter | None, passages: int | None) -> Answerer:
        """What answers in the documents' own sentences, without a language model."""
        settings = Answering(answers="quoted", passages=passages or Answering().passages)
        return self._answerer(documents.embedder.engine, documents, settings, where)

    def _answerer(
        self, engine: Engine, documents: RetrievalVersion, settings: Answering, where: Filter | None
    ) -> Answerer:
        search = NotedSearch(partial(self._retrieving.search, documents), where)
        return Answerer(KnowledgeEngine(engine, search, settings, embed=documents.vectors), search)

    def _lease(self, asking: LanguageVersion, name: str, key: str) -> RetrievalVersion:
        try:
            leased = self._retrieving.slots.find(name).lease(None, key)
        except Problem as problem:
            raise Problem(503, f"{asking.model} answers from {name}, which is not live: {problem.message}") from None
        if isinstance(leased, RetrievalVersion):
            return leased
        leased.release()
        raise Problem(
            503,
            f"{asking.model} answers from {name}, which is live as a {leased.manifest.task} model and has no passages: "
            f"run `mainspring fit {name}`",
        )
