"""A collection of documents becomes a version: read, split, embedded, indexed, tuned, judged.

    documents ─ collect ─▶ hashes: known? ─▶ unchanged, end
     ─ tasks.indexing: what is new is read, split and embedded ─▶ index/
    questions ─┬─ tuning ─ tasks.retrieval ─▶ weight, reranker, answerability ─▶ index/
               └─ judging ─ by words │ by meaning │ as chosen │ champion ─▶ verdict

A version holds the embedder beside the index, for a question has to be embedded as the passages were. Its golden
examples are texts with their vectors, and questions with the passages that they find.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from mainspring.data.documents.collection import collect
from mainspring.data.documents.questions import Question, WrittenQuestion, resolve
from mainspring.data.documents.source import Source
from mainspring.errors import DataError, MainspringError, require
from mainspring.evaluation.retrieval import Judged
from mainspring.files import sha256
from mainspring.lifecycle import lineage, retrieval_page, retrieval_questions, retrieval_verdict
from mainspring.lifecycle.indexes import FOLDER as INDEX
from mainspring.lifecycle.progress import Prepared, Watcher
from mainspring.lifecycle.retrieval_abstaining import abstaining
from mainspring.lifecycle.retrieval_collections import drop_unneeded
from mainspring.lifecycle.retrieval_questions import Documents
from mainspring.lifecycle.retrieval_reporting import report_of
from mainspring.lifecycle.retrieval_served import served
from mainspring.monitoring import documents, profiles
from mainspring.monitoring.retrieval import profile_of
from mainspring.registry import desired, versions
from mainspring.registry.vector_cache import VectorCache
from mainspring.registry.versions import Golden, Manifest, Version
from mainspring.runtimes.index.answerable import Answerability
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.rerank import Reranker, open_reranker
from mainspring.runtimes.index.settings import read_settings, write_settings
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.language.embedding import GRAPH
from mainspring.schema import Column, Schema, Target
from mainspring.spec import Project, RetrievalSpec
from mainspring.tasks import embedder, indexing, retrieval
from mainspring.tasks.answerability import fit_answerability
from mainspring.tasks.embedder import PreparedEmbedder
from mainspring.tasks.other_questions import OTHER_QUESTIONS
from mainspring.tasks.retrieval import MEANING, WORDS, Asked, Choice, Way

SCHEMA = Schema((Column("query", "text"),), Target("passages"))
_T = TypeVar("_T")
_RERANKER = "reranker"  # the folder of a cross-encoder, beside the index
_GOLDEN_QUESTIONS, _GOLDEN_PASSAGES = 4, 3


@dataclass(frozen=True)
class Material:
    """What a version is made from."""

    sources: list[Source]
    questions: list[WrittenQuestion]
    reranker: str  # the sha256 of a cross-encoder, if there is one


def prepare(project: Project, model: str, watcher: Watcher) -> Prepared:
    """See which documents there are, and whether they are known.

    Raises:
        SpecError: `data` or `questions` names nothing.
        DataError: a table cannot be read.
        WeightsError: the embedder's weights cannot be had.
    """
    require("faiss", "retrieval")
    require("scipy", "retrieval")
    spec = project.retrieval(model)
    watcher.step(model, "looking at the documents")
    material = Material(
        collect(project, model), retrieval_questions.written(project, model), _reranker_digest(project, model)
    )
    watcher.step(model, "finding the embedder")
    found = embedder.prepare(project, spec, lambda what: watcher.step(model, what))
    print_of_now = lineage.fingerprint(project, model, _digest(material, found))
    return Prepared(
        print_of_now, lambda staged: _Making(project, model, material, found, print_of_now, staged, watcher).version()
    )


def _reranker_digest(project: Project, model: str) -> str:
    rerank = project.retrieval(model).rerank
    if rerank in ("off", "late-interaction"):
        return ""
    graph = project.folder / rerank / GRAPH
    if not graph.is_file():
        told = f'expected "off", "late-interaction", or a folder with the {GRAPH} of a cross-encoder; found {rerank!r}'
        raise project.mistake(("models", model, "rerank"), told)
    return sha256(graph)


def _digest(material: Material, found: PreparedEmbedder) -> str:
    """Of the documents, the questions and the embedder."""
    parts = [f"{source.name}\0{source.digest}" for source in material.sources]
    parts += [msgspec.json.encode(question).decode() for question in material.questions]
    return hashlib.sha256("\0".join([found.identity.digest, material.reranker, *parts]).encode()).hexdigest()


class _Making:
    """One version in the making."""

    def __init__(
        self,
        project: Project,
        model: str,
        material: Material,
        found: PreparedEmbedder,
        print_of_now: lineage.Fingerprint,
        staged: Path,
        watcher: Watcher,
    ) -> None:
        self._project, self._model, self._material, self._staged = project, model, material, staged
        self._spec: RetrievalSpec = project.retrieval(model)
        self._embedder, self._print, self._watcher = found, print_of_now, watcher
        self._name = versions.next_name(project.state, model)
        self._live = desired.read(project.state).champion(model)  # once: another may be promoted during a long fit
        self._seconds: dict[str, float] = {}
        self._notes: list[str] = []

    def version(self) -> Version:
        """Index, tune, judge, write down, publish."""
        for note in drop_unneeded(self._project.state, self._model):
            self._tell(note)
        self._embedder.put(self._staged)
        indexed = self._timed("indexed in", self._index)
        index = Index.load(self._staged / INDEX)
        try:
            return self._published(indexed, index)
        finally:
            index.close()

    def _published(self, indexed: indexing.Indexed, index: Index) -> Version:
        tuning, judging = self._asked()
        choice = self._timed("tuned in", lambda: self._tuned(index, tuning))
        weight = self._weight(index, choice)
        rule = self._timed("calibrated in", lambda: self._rule(index, tuning, weight))
        index.settings = settings = msgspec.structs.replace(
            index.settings,
            dense_weight=weight,
            diversity=self._spec.diversity,
            rerank=self._reranker(),
            answerable=rule,
        )
        write_settings(self._staged / INDEX, settings)
        reranker = open_reranker(index, self._staged / INDEX, self._staged)
        ways = self._timed("judged in", lambda: _ways(index, reranker, judging.answered))
        if reranker is not None and ways:
            self._tell(retrieval.told_of_reranker(ways[-2], ways[-1], self._spec.metric))
        verdict = self._verdict(index, judging.answered, ways)
        self._write_golden(index, reranker, judging if len(judging) else tuning)
        self._write_profile(index, reranker, [tuning.answered, judging.answered])
        documents.save(self._material.sources, self._staged)
        engine = "remote" if self._embedder.is_remote else "onnx"
        manifest = Manifest(
            project=self._project.name,
            model=self._model,
            version=self._name,
            task=self._spec.task,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            schema=SCHEMA,
            lineage=self._print.lineage(
                rows=settings.passages,
                fit_rows=len(tuning),
                holdout_rows=len(judging),
                split={},
                seed=self._spec.seed,
            ),
            candidate=f"{settings.documents:,} documents, {settings.passages:,} passages",
            parameters={"engine": engine, "properties": {}, "store": settings.store.kind, "dense_weight": weight},
            metric=retrieval.METRICS[self._spec.metric],
            metrics=ways[-1].metrics() if ways else {},
            parity=self._embedder.parity,
            verdict=verdict,
        )
        report = report_of(
            manifest,
            settings,
            indexed,
            choice,
            ways,
            abstaining(index, judging, weight, rule),
            notes=self._notes,
            seconds=self._seconds,
        )
        (self._staged / versions.REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(report)))
        (self._staged / versions.REPORT_PAGE).write_text(retrieval_page.render(report), encoding="utf-8")
        return versions.publish(self._staged, manifest)

    def _reranker(self) -> str:
        """What the settings of the index say of it; a cross-encoder of the user's own goes into the version."""
        asked = self._spec.rerank
        if asked in ("off", "late-interaction"):
            return asked
        shutil.copytree(self._project.folder / asked, self._staged / INDEX / _RERANKER)
        return _RERANKER

    def _index(self) -> indexing.Indexed:
        spec, newest = self._spec, versions.load_all(self._project.state, self._model)
        done = indexing.index(
            self._material.sources,
            self._staged / INDEX,
            self._embedder,
            VectorCache.of(self._project, self._embedder.identity),
            tokens=spec.tokens,
            encoding=spec.encoding,
            language=spec.language,
            store=self._store(),
            code=self._print.code,
            previous=newest[-1].folder / INDEX if newest else None,
            say=partial(self._watcher.step, self._model),
        )
        for one in done.unread:
            self._watcher.note(self._model, f"not read: {one.source}: {one.reason}")
        return done

    def _store(self) -> StoreSettings:
        """The version's own collection, unlike any other's: on a server there may be other projects of this name."""
        place = hashlib.sha256(str(self._project.state).encode()).hexdigest()[:8]
        collection = f"{self._project.name}-{self._model}-{self._name}-{place}"
        return StoreSettings(**self._spec.store.model_dump(), collection=collection)

    def _timed(self, name: str, work: Callable[[], _T]) -> _T:
        began = time.perf_counter()
        done = work()
        self._seconds[name] = time.perf_counter() - began
        return done

    def _asked(self) -> tuple[Asked, Asked]:
        """The questions with their vectors: those that tune, and those that judge."""
        if self._material.questions:
            self._watcher.step(self._model, f"asking {len(self._material.questions):,} questions")
        found = resolve(self._material.questions, Documents(self._material.sources))
        for note in retrieval_questions.notes(found):
            self._tell(note)
        return asyncio.run(_ask(self._embedder, found.questions)).divide(self._spec.seed)

    def _tuned(self, index: Index, tuning: Asked) -> Choice | None:
        answered = tuning.answered
        if self._spec.dense_weight is not None or not len(answered):
            return None
        say = partial(self._watcher.step, self._model)
        return retrieval.choose(index, answered, self._spec.metric, default=index.settings.dense_weight, say=say)

    def _rule(self, index: Index, tuning: Asked, weight: float) -> Answerability | None:
        """When an assistant is to answer; None where there are too few questions to learn it from."""
        if not len(tuning):
            return None
        others = asyncio.run(_ask(self._embedder, [Question(text=text, places=()) for text in OTHER_QUESTIONS]))
        material = retrieval.told(index, tuning.and_(others), weight)
        try:
            return fit_answerability(material.found, material.holds).rule
        except DataError as error:
            self._tell(f"nothing tells when to answer, and every question is: {error}")
            return None

    def _weight(self, index: Index, choice: Choice | None) -> float:
        if self._spec.dense_weight is not None:
            return self._spec.dense_weight
        return choice.way.dense_weight if choice else index.settings.dense_weight

    def _verdict(self, index: Index, asked: Asked, ways: list[Way]) -> dict[str, Any]:
        spec, live = self._spec, self._live
        made = f"{index.settings.documents:,} documents in {index.count:,} passages"
        if live is None:
            if not ways:
                return retrieval_verdict.first(made)
            found = f"{retrieval.METRICS[spec.metric]} {ways[-1].scores.of(spec.metric).mean():.3f}"
            return retrieval_verdict.first(f"{found} on {len(asked):,} questions; {made}")
        fresh = self._documents_alone(live)
        if not ways:
            return retrieval_verdict.without_questions(live, fresh=fresh, evidence=made)
        self._watcher.step(self._model, f"asking version {live} the same")
        before: Judged | str
        try:
            version = versions.load(self._project.state, self._model, live)
            before = asyncio.run(served(self._project, version, asked.questions, index.text)).scores
        except MainspringError as error:
            before = str(error)
        return retrieval_verdict.against_champion(
            live, before, ways[-1].scores, metric=spec.metric, clusters=asked.clusters, spec=spec.gate, fresh=fresh
        )

    def _documents_alone(self, champion: str) -> bool:
        """Whether the documents are others than the champion's, and spec and embedder are the same."""
        try:
            version = versions.load(self._project.state, self._model, champion)
            known = documents.load(version)
            embedder_of_live = read_settings(version.folder / INDEX).embedder
        except MainspringError:
            return False
        now = {source.name: source.digest for source in self._material.sources}
        same = version.manifest.lineage.spec == self._print.spec and embedder_of_live == self._embedder.identity
        return same and documents.compare(known, now) is not None

    def _write_golden(self, index: Index, reranker: Reranker | None, asked: Asked) -> None:
        """Texts with their vectors; and questions with their passages, or else headings with theirs."""
        golden = self._embedder.golden
        some = asked.take(np.arange(len(asked)) < _GOLDEN_QUESTIONS)
        if not len(some):
            some = asyncio.run(_ask(self._embedder, _headings(index)))
        records, answers = list(golden.records), list(golden.answers)
        for question, searched in zip(some.questions, retrieval.as_set(index, reranker, some), strict=True):
            records.append({"question": question.text})
            answers.append({"ids": [one.id for one in searched.found[:_GOLDEN_PASSAGES]]})
        whole = Golden(records, answers, golden.tolerance)
        (self._staged / versions.GOLDEN).write_bytes(msgspec.json.encode(whole))

    def _write_profile(self, index: Index, reranker: Reranker | None, parts: list[Asked]) -> None:
        """How questions that the documents answer look, for the drift of live ones; none where there are none."""
        searched = [one for asked in parts for one in retrieval.as_set(index, reranker, asked)]
        if searched:
            vectors = np.concatenate([asked.vectors for asked in parts])
            profiles.save(profile_of(vectors, searched, seed=self._spec.seed), self._staged)

    def _tell(self, note: str) -> None:
        self._notes.append(note)
        self._watcher.note(self._model, note)


async def _ask(found: PreparedEmbedder, questions: Sequence[Question]) -> Asked:
    engine = found.engine()
    try:
        return await retrieval.ask(engine, found.identity, questions)
    finally:
        await engine.close()


def _headings(index: Index) -> list[Question]:
    """Those of the first passages, as if somebody asked for them."""
    first = itertools.islice(index.passages(), _GOLDEN_QUESTIONS)
    return [Question(text=passage.path[-1], places=()) for _, passage in first if passage.path]


def _ways(index: Index, reranker: Reranker | None, asked: Asked) -> list[Way]:
    """By words, by meaning, without a reranker, and last as it is set; none where there is no question to judge by."""
    if not len(asked):
        return []
    weight = index.settings.dense_weight
    found = [searched.found for searched in retrieval.as_set(index, reranker, asked)]
    reread = "" if reranker is None else f", reranked by {index.settings.rerank}"
    chosen = retrieval.judged(f"{retrieval.named(weight)}{reread}", weight, asked, found)
    others = dict.fromkeys([*(one for one in (WORDS, MEANING) if one != weight), *([weight] if reranker else [])])
    return [*(retrieval.way(index, asked, one) for one in others), chosen]
