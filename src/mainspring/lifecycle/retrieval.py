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
from mainspring.errors import DataError, MainspringError, RegistryError, require
from mainspring.lifecycle import lineage, retrieval_page, retrieval_questions, retrieval_verdict
from mainspring.lifecycle.indexes import FOLDER as INDEX
from mainspring.lifecycle.progress import Prepared, Watcher
from mainspring.lifecycle.retrieval_abstaining import abstaining
from mainspring.lifecycle.retrieval_collections import drop_unneeded
from mainspring.lifecycle.retrieval_questions import Documents
from mainspring.lifecycle.retrieval_report import Abstaining, MissedLine, RetrievalReport, UnreadLine, WayLine
from mainspring.lifecycle.retrieval_served import served
from mainspring.lifecycle.retrieval_verdict import Scored
from mainspring.monitoring import documents, profiles
from mainspring.monitoring.retrieval import profile_of
from mainspring.registry import desired, versions
from mainspring.registry.vector_cache import VectorCache
from mainspring.registry.versions import Golden, Manifest, Version
from mainspring.runtimes.index.answerable import Answerability
from mainspring.runtimes.index.found import Searched
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.settings import IndexSettings, write_settings
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.schema import Column, Schema, Target
from mainspring.spec import Project, RetrievalSpec
from mainspring.tasks import embedder, indexing, retrieval
from mainspring.tasks.answerability import fit_answerability
from mainspring.tasks.embedder import PreparedEmbedder
from mainspring.tasks.retrieval import MEANING, WORDS, Asked, Choice, Way

SCHEMA = Schema((Column("query", "text"),), Target("passages"))
_T = TypeVar("_T")
_MOST_MISSED = 20  # questions that the report tells
_GOLDEN_QUESTIONS, _GOLDEN_PASSAGES = 4, 3


@dataclass(frozen=True)
class Material:
    """What a version is made from."""

    sources: list[Source]
    questions: list[WrittenQuestion]


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
    material = Material(collect(project, model), retrieval_questions.written(project, model))
    watcher.step(model, "finding the embedder")
    found = embedder.prepare(project, spec, lambda what: watcher.step(model, what))
    print_of_now = lineage.fingerprint(project, model, _digest(material, found))
    return Prepared(
        print_of_now, lambda staged: _Making(project, model, material, found, print_of_now, staged, watcher).version()
    )


def _digest(material: Material, found: PreparedEmbedder) -> str:
    """Of the documents, the questions and the embedder."""
    parts = [f"{source.name}\0{source.digest}" for source in material.sources]
    parts += [msgspec.json.encode(question).decode() for question in material.questions]
    return hashlib.sha256("\0".join([found.identity.digest, *parts]).encode()).hexdigest()


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
        ways = self._timed("judged in", lambda: _ways(index, judging.answered, weight))
        verdict = self._verdict(index, judging.answered, ways, indexed)
        rule = self._timed("calibrated in", lambda: self._rule(index, tuning, weight))
        settings = msgspec.structs.replace(
            index.settings, dense_weight=weight, diversity=self._spec.diversity, answerable=rule
        )
        write_settings(self._staged / INDEX, settings)
        self._write_golden(index, weight, judging if len(judging) else tuning)
        documents.save(self._material.sources, self._staged)
        self._write_profile(index, settings, [tuning.answered, judging.answered])
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
        report = self._report(manifest, settings, indexed, choice, ways, abstaining(index, judging, weight, rule))
        (self._staged / versions.REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(report)))
        (self._staged / versions.REPORT_PAGE).write_text(retrieval_page.render(report), encoding="utf-8")
        return versions.publish(self._staged, manifest)

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
        material = retrieval.told(index, tuning, weight)
        try:
            return fit_answerability(material.found, material.holds).rule
        except DataError as error:
            self._tell(f"nothing tells when to answer, and every question is: {error}")
            return None

    def _weight(self, index: Index, choice: Choice | None) -> float:
        if self._spec.dense_weight is not None:
            return self._spec.dense_weight
        return choice.way.dense_weight if choice else index.settings.dense_weight

    def _verdict(self, index: Index, asked: Asked, ways: list[Way], indexed: indexing.Indexed) -> dict[str, Any]:
        metric, live = self._spec.metric, self._live
        made = f"{index.settings.documents:,} documents in {index.count:,} passages"
        if live is None:
            if not ways:
                return retrieval_verdict.first(made)
            value = ways[-1].scores.of(metric).mean()
            return retrieval_verdict.first(
                f"{retrieval.METRICS[metric]} {value:.3f} on {len(asked):,} questions; {made}"
            )
        fresh = self._same_spec(live)
        if not ways:
            return retrieval_verdict.without_questions(live, fresh=fresh, evidence=made)
        self._watcher.step(self._model, f"asking version {live} the same")
        champion: Scored | str
        try:
            version = versions.load(self._project.state, self._model, live)
            before = asyncio.run(served(self._project, version, asked.questions, index.text))
            champion = Scored(f"version {live}", metric, before.scores.of(metric))
        except MainspringError as error:
            champion = str(error)
        challenger = Scored(ways[-1].who, metric, ways[-1].scores.of(metric))
        return retrieval_verdict.against_champion(live, champion, challenger, self._spec.gate, fresh=fresh)

    def _same_spec(self, champion: str) -> bool:
        """Whether the champion was made by the same spec and embedder, so that the documents alone are others."""
        try:
            lineage_of_live = versions.load(self._project.state, self._model, champion).manifest.lineage
        except RegistryError:
            return False
        return lineage_of_live.spec == self._print.spec

    def _write_golden(self, index: Index, weight: float, asked: Asked) -> None:
        """Texts with their vectors; and questions with their passages, or else headings with theirs."""
        golden = self._embedder.golden
        some = asked.take(np.arange(len(asked)) < _GOLDEN_QUESTIONS)
        if not len(some):
            titles = [
                passage.path[-1] for _, passage in itertools.islice(index.passages(), _GOLDEN_QUESTIONS) if passage.path
            ]
            some = asyncio.run(_ask(self._embedder, [Question(text=title, places=()) for title in titles]))
        records, answers = list(golden.records), list(golden.answers)
        for question, found in zip(some.questions, retrieval.search(index, some, weight), strict=True):
            records.append({"question": question.text})
            answers.append({"ids": [one.id for one in found[:_GOLDEN_PASSAGES]]})
        whole = Golden(records, answers, golden.tolerance)
        (self._staged / versions.GOLDEN).write_bytes(msgspec.json.encode(whole))

    def _write_profile(self, index: Index, settings: IndexSettings, parts: list[Asked]) -> None:
        """How questions that the documents answer look, for the drift of live ones; none where there are none."""
        rule, searched = settings.answerable, list[Searched]()
        for asked in parts:
            for found in retrieval.search(index, asked, settings.dense_weight):
                answerable, threshold = (rule.probability(found), rule.threshold) if rule else (None, None)
                searched.append(Searched(found=found, answerable=answerable, threshold=threshold))
        if searched:
            vectors = np.concatenate([asked.vectors for asked in parts])
            profiles.save(profile_of(vectors, searched, seed=self._spec.seed), self._staged)

    def _report(
        self,
        manifest: Manifest,
        settings: IndexSettings,
        indexed: indexing.Indexed,
        choice: Choice | None,
        ways: list[Way],
        abstaining: Abstaining | None,
    ) -> RetrievalReport:
        chosen = ways[-1] if ways else None
        return RetrievalReport(
            project=manifest.project,
            model=manifest.model,
            version=manifest.version,
            created=manifest.created,
            metric=manifest.metric,
            candidate=manifest.candidate,
            documents=settings.documents,
            passages=settings.passages,
            embedded=indexed.embedded,
            reused=indexed.reused,
            unread=[UnreadLine(one.source, one.reason) for one in indexed.unread],
            notes=[*(f"{source}: {note}" for source, told in indexed.notes.items() for note in told), *self._notes],
            settings=_settings(settings),
            tuned=[_line(way, way is choice.way) for way in choice.tried] if choice else [],
            selection=choice.reason if choice else None,
            judged=[_line(way, way is chosen) for way in ways],
            missed=_missed(chosen) if chosen else [],
            abstaining=abstaining,
            questions={"tuning": manifest.lineage.fit_rows, "judging": manifest.lineage.holdout_rows},
            verdict=manifest.verdict,
            seconds=self._seconds,
        )

    def _tell(self, note: str) -> None:
        self._notes.append(note)
        self._watcher.note(self._model, note)


async def _ask(found: PreparedEmbedder, questions: Sequence[Question]) -> Asked:
    engine = found.engine()
    try:
        return await retrieval.ask(engine, found.identity, questions)
    finally:
        await engine.close()


def _ways(index: Index, asked: Asked, weight: float) -> list[Way]:
    """By words, by meaning, and last as it was chosen; none where there is no question to judge by."""
    if not len(asked):
        return []
    return [retrieval.way(index, asked, one) for one in (*({WORDS, MEANING} - {weight}), weight)]


def _line(way: Way, chosen: bool) -> WayLine:
    return WayLine(who=way.who, questions=len(way.scores.ndcg), metrics=way.metrics(), chosen=chosen)


def _missed(way: Way) -> list[MissedLine]:
    """The questions whose places are found last, worst first."""
    order = np.argsort(-way.scores.first, kind="stable")[:_MOST_MISSED]
    return [
        MissedLine(
            way.asked.questions[at].text,
            ", ".join(way.asked.questions[at].sections),
            int(way.scores.first[at]) if np.isfinite(way.scores.first[at]) else None,
            way.found[at][0].passage.address if way.found[at] else "nothing",
        )
        for at in order.tolist()
        if way.scores.first[at] > 1
    ]


def _settings(settings: IndexSettings) -> dict[str, Any]:
    """What the index was made with, as text."""
    used = settings.embedder
    return {
        "embedder": f"{used.name}, {used.width} wide, {used.precision}",
        "meaning against words": f"{settings.dense_weight:.2g}",
        "words": settings.language,
        "reranking": settings.rerank,
        "store": settings.store.kind,
    }
