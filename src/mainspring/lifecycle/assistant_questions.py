"""The questions by which a chat model with knowledge is judged: those of its collection that tuned nothing there.

An answer takes seconds, so that a sample of them is asked, the same for every version: `SAMPLE` questions, unless the
answers are quoted, which costs nothing; whether the passages hold an answer is told for all of them, for that is told
by a search. Nothing is learned from any of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from mainspring.data.documents.collection import collect
from mainspring.data.documents.questions import Question, resolve
from mainspring.errors import ContextError, DataError
from mainspring.evaluation.assistants import RIGHTLY, Replies, Reply
from mainspring.evaluation.citations import CitedAnswer
from mainspring.lifecycle import retrieval_questions
from mainspring.lifecycle.assistant_report import AssistantReport, WrongLine
from mainspring.lifecycle.champions import champion_of
from mainspring.lifecycle.indexes import OpenIndex
from mainspring.lifecycle.knowledge import Assistant
from mainspring.lifecycle.language_answers import Answers
from mainspring.lifecycle.retrieval_abstaining import abstaining
from mainspring.lifecycle.retrieval_report import Abstaining
from mainspring.lifecycle.retrieval_served import places_in
from mainspring.prompts.answering.engine import KnowledgeEngine
from mainspring.registry import desired
from mainspring.runtimes.language.protocol import Delta, Engine, Generate, Sampling
from mainspring.spec import ChatSpec, Project
from mainspring.tasks import retrieval

SAMPLE = 40
_AT_ONCE = 8  # questions; an engine answers several in hardly more time than one
_TOLD_EVERY = 8
_MOST_WRONG = 20  # questions in the report
_SHOWN = 240  # characters of an answer there


@dataclass(frozen=True, eq=False)
class AssistantQuestions:
    """Those of `collection`, whose champion is `version`: all that are held out, and those that are asked.

    `metric` is what "better" means.
    """

    collection: str
    version: str
    held_out: tuple[Question, ...]
    asked: tuple[Question, ...]
    documents: retrieval_questions.Documents
    metric: str

    def __len__(self) -> int:
        return len(self.asked)

    def scored(self, replies: Replies) -> tuple[np.ndarray, np.ndarray]:
        """By the metric, the scores of the questions that have one, and the codes of their sections: (n,) each."""
        return replies.scores(self.metric), replies.groups(self.metric)

    async def ask(self, engine: Engine, assistant: Assistant | None, say: Callable[[str], None]) -> Answers:
        """What `assistant`, whose index is this collection's, says; `engine` is the one that it writes with.

        Raises:
            EngineGoneError, StoreError: it cannot be asked.
        """
        assert assistant is not None  # it answers from `collection`: see `language_verdict`
        assert assistant.index is not None
        index, asking = assistant.index, assistant.engine()
        gate, done = asyncio.Semaphore(_AT_ONCE), 0

        async def one(question: Question) -> Reply:
            nonlocal done
            async with gate:
                answer = await _answer(asking, question.text)
            done += 1
            if done % _TOLD_EVERY == 0 and done < len(self):
                say(f"answered {done} of {len(self)} questions")
            return Reply(question, places_in(index.index, question, lambda name: self.documents[name].text), answer)

        replies = Replies(tuple(await asyncio.gather(*map(one, self.asked))), index.index.text)
        scores, groups = self.scored(replies)
        metrics = {name: found.as_dict() for name, found in replies.estimates().items()}
        report = _report(self, replies, await self._abstaining(index))
        if report.abstaining is not None:
            metrics["abstention_roc_auc"] = report.abstaining.roc_auc
        return Answers(scores, groups, metrics, report, replies)

    async def _abstaining(self, index: OpenIndex) -> Abstaining | None:
        """How well the collection tells, of all that is held out, what it answers."""
        settings = index.index.settings
        if settings.answerable is None:
            return None
        asked = await retrieval.ask(index.embedder, settings.embedder, self.held_out)
        return await asyncio.to_thread(abstaining, index.index, asked, settings.dense_weight, settings.answerable)


def load(project: Project, model: str, number: int | None = None) -> AssistantQuestions | str:
    """The questions for the chat model called `model`, so many at most; or, in words, why there are none.

    Raises:
        DataError, SpecError: the collection's questions or documents cannot be read.
        RegistryError: the collection's champion is damaged.
    """
    spec = project.models[model]
    assert isinstance(spec, ChatSpec)
    assert spec.collection is not None
    collection = spec.collection
    if project.retrieval(collection).questions is None:
        return f"{collection} has no questions to judge answers by: `questions` in [models.{collection}] names them"
    if desired.read(project.state).champion(collection) is None:
        return f"{collection} has no champion yet to answer from"
    champion = champion_of(project, collection)
    documents = retrieval_questions.Documents(collect(project, collection))
    written = retrieval_questions.written(project, collection)
    held_out = retrieval_questions.held_out(resolve(written, documents).questions, champion)
    if not held_out:
        return f"{collection} was tuned on every question there is: none is left to judge answers by"
    most = number or (SAMPLE if spec.answers == "written" else len(held_out))
    metric = RIGHTLY if spec.data is not None or spec.metric is None else spec.metric
    some = held_out if metric == RIGHTLY else tuple(one for one in held_out if one.answer or not one.places)
    if metric != RIGHTLY and not any(one.answer for one in some):
        raise DataError(f"{metric} needs questions with a known `answer`, and the questions of {collection} have none")
    order = np.random.default_rng(champion.manifest.lineage.seed).permutation(len(some))
    asked = tuple(some[at] for at in sorted(order[:most].tolist()))
    return AssistantQuestions(collection, champion.name, held_out, asked, documents, metric)


async def _answer(engine: KnowledgeEngine, question: str) -> CitedAnswer | None:
    """The answer; None where there is none, or the question is too long for one."""
    request = Generate(messages=[{"role": "user", "content": question}], sampling=Sampling(temperature=0.0))
    text, last = "", Delta()
    try:
        async with aclosing(cast(Any, engine.generate(request))) as pieces:
            async for piece in pieces:
                if isinstance(piece, Delta):
                    text, last = text + piece.text, piece if piece.finish else last
    except ContextError:
        return None
    assert last.answered is not None  # the last piece of every answer from documents says how it came about
    return None if last.answered.abstained else CitedAnswer(text, last.citations)


def _report(questions: AssistantQuestions, replies: Replies, abstaining: Abstaining | None) -> AssistantReport:
    """What is told of it."""
    holds = [one for one in replies.replies if one.places]
    return AssistantReport(
        collection=questions.collection,
        version=questions.version,
        held_out=len(questions.held_out),
        asked=len(questions),
        answerable=len(holds),
        known=sum(one.question.answer is not None for one in holds),
        wrong=[_wrong(one) for one in replies.replies if not one.rightly][:_MOST_WRONG],
        abstaining=abstaining,
    )


def _wrong(reply: Reply) -> WrongLine:
    said = None if reply.answer is None else " ".join(reply.answer.text.split())
    cited = () if reply.answer is None else reply.answer.citations
    places = dict.fromkeys(f"{one.source}#{one.anchor}" if one.anchor else one.source for one in cited)
    return WrongLine(
        question=reply.question.text,
        expected=", ".join(reply.question.sections),
        said=said if said is None or len(said) <= _SHOWN else f"{said[: _SHOWN - 1]}…",
        cited=", ".join(places),
    )
