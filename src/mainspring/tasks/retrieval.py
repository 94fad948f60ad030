"""What a fit of a collection chooses by its questions: how much meaning counts against words, and when to answer.

Half of the questions tune, the other half judge. A choice is kept at its default unless another is shown to be better
on the tuning questions; so chance alone seldom moves it, and a few questions never do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mainspring.data.documents.passages import Passage
from mainspring.data.documents.questions import Question, Relevant, clusters_of
from mainspring.errors import DataError
from mainspring.evaluation.gate import FEWEST_ROWS
from mainspring.evaluation.retrieval import Judged, compare_judged, covers, judge
from mainspring.runtimes.index.found import Found, Searched
from mainspring.runtimes.index.identity import Embedder
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.rerank import Reranker
from mainspring.runtimes.index.searching import search_as_set
from mainspring.runtimes.language.protocol import Engine

METRICS = {"ndcg": "ndcg_at_10", "recall": "recall_at_5", "mrr": "mrr_at_20"}  # as a spec names them, and in full
WORDS, MEANING = 0.0, 1.0
GRID = tuple(step / 10 for step in range(11))
DEEP = 20  # passages that are looked at for one question
_READ = 5  # of them an assistant reads
_SIGNIFICANCE = 0.05
_AT_ONCE = 256  # questions

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Asked:
    """n questions and their vectors, (n, width) float32."""

    questions: tuple[Question, ...]
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.questions)

    def take(self, some: np.ndarray) -> Asked:
        """Those where `some`, (n,) bool, is true."""
        return Asked(tuple(q for q, chosen in zip(self.questions, some, strict=True) if chosen), self.vectors[some])

    def and_(self, others: Asked) -> Asked:
        """These and others."""
        return Asked(self.questions + others.questions, np.concatenate([self.vectors, others.vectors]))

    @property
    def answered(self) -> Asked:
        """Those that the documents answer."""
        return self.take(np.array([bool(question.places) for question in self.questions], bool))

    @property
    def clusters(self) -> np.ndarray | None:
        """(n,) codes of questions about the same section, which are not independent; None where each has its own."""
        codes = self.sections
        return None if len(np.unique(codes)) == len(codes) else codes

    @property
    def sections(self) -> np.ndarray:
        """(n,) codes of their sections; a question without one has one of its own."""
        return clusters_of(self.questions)

    def divide(self, seed: int) -> tuple[Asked, Asked]:
        """Those that tune, and those that judge. All questions about one section are on one side."""
        side = np.array([_side(question, seed) for question in self.questions], bool)
        return self.take(side), self.take(~side)


@dataclass(frozen=True, eq=False)
class Way:
    """A way to search, and how it did: `scores` are question by question."""

    who: str
    dense_weight: float
    asked: Asked
    scores: Judged
    found: list[list[Found]] = field(repr=False)

    def metrics(self) -> dict[str, dict[str, Any]]:
        """The mean of each metric, under its full name, with its interval."""
        return {
            METRICS[name]: estimate.as_dict() for name, estimate in self.scores.estimates(self.asked.clusters).items()
        }


@dataclass(frozen=True)
class Choice:
    """What was chosen, among what, and why in a sentence."""

    way: Way
    tried: list[Way]
    reason: str


async def ask(engine: Engine, embedder: Embedder, questions: Sequence[Question]) -> Asked:
    """The questions with their vectors.

    Raises:
        ContextError: one is longer than the embedder takes.
        EngineGoneError: the embedder does not answer.
    """
    parts = [np.empty((0, embedder.width), np.float32)]
    for begin in range(0, len(questions), _AT_ONCE):
        texts = [embedder.query_prefix + question.text for question in questions[begin : begin + _AT_ONCE]]
        vectors, _ = await engine.embed(texts)
        parts.append(vectors)
    return Asked(tuple(questions), np.concatenate(parts))


def search(index: Index, asked: Asked, dense_weight: float) -> list[list[Found]]:
    """The first passages of each question, best first."""
    return [
        index.search(question.text, vector, DEEP, dense_weight=dense_weight)
        for question, vector in zip(asked.questions, asked.vectors, strict=True)
    ]


def as_set(index: Index, reranker: Reranker | None, asked: Asked) -> list[Searched]:
    """What each question finds as the settings of the index say, for it is so that it will be served."""
    return [
        search_as_set(index, reranker, question.text, vector, DEEP)
        for question, vector in zip(asked.questions, asked.vectors, strict=True)
    ]


def way(index: Index, asked: Asked, dense_weight: float) -> Way:
    """How a weight does on questions that the documents answer.

    Raises:
        DataError: there is none.
    """
    return judged(named(dense_weight), dense_weight, asked, search(index, asked, dense_weight))


def judged(who: str, dense_weight: float, asked: Asked, found: list[list[Found]]) -> Way:
    """How a way to search does, by what it found; as `way`."""
    passages = [[one.passage for one in each] for each in found]
    scores = judge(passages, [question.places for question in asked.questions])
    return Way(who, dense_weight, asked, scores, found)


@dataclass(frozen=True, eq=False)
class Told:
    """Questions, each with what was found, and whether the answer is among the first passages: (n,) bool. `clusters`
    are codes of those that are not independent of each other, (n,): about one section, or the same without it.
    """

    found: list[list[Found]]
    holds: np.ndarray
    clusters: np.ndarray


def told(index: Index, asked: Asked, dense_weight: float) -> Told:
    """What tells when to answer: questions as they are, and those with an answer once more without it.

    For the second time the passages that touch the answer's places are left out: what is nearest then is what an
    assistant must learn to keep silent about.
    """
    found = search(index, asked, dense_weight)
    holds = [
        any(covers(one.passage, place) for one in each[:_READ] for place in question.places)
        for each, question in zip(found, asked.questions, strict=True)
    ]
    left_out = [
        [one for one in each if not any(_touches(one.passage, place) for place in question.places)]
        for each, question in zip(found, asked.questions, strict=True)
        if question.places
    ]
    again = [section for section, question in zip(asked.sections, asked.questions, strict=True) if question.places]
    return Told(
        [*found, *left_out],
        np.array([*holds, *(False for _ in left_out)], bool),
        np.array([*asked.sections, *again], np.int64),
    )


def _touches(passage: Passage, place: Relevant) -> bool:
    return passage.source == place.source and passage.begin < place.end and place.begin < passage.end


def named(dense_weight: float) -> str:
    """A weight in words."""
    if dense_weight == WORDS:
        return "words alone (BM25)"
    return "meaning alone" if dense_weight == MEANING else f"both, meaning {dense_weight:.2g}"


def choose(index: Index, tuning: Asked, metric: str, *, default: float, say: Say) -> Choice:
    """The weight to search with.

    Of all weights of the grid the best is taken if it is shown better than the default; so is words alone or meaning
    alone, for a collection where one of both is no help is not to suffer from it.
    """
    say(f"trying {len(GRID)} weights of meaning against words on {len(tuning):,} questions")
    tried = [way(index, tuning, weight) for weight in sorted({*GRID, default})]
    usual = next(one for one in tried if one.dense_weight == default)
    best = max(tried, key=lambda one: (one.scores.of(metric).mean(), -abs(one.dense_weight - default)))
    if best is usual:
        return Choice(usual, tried, f"no other weight than the default, {default:.2g}, finds more")
    stays = f"the weight stays at its default, {default:.2g}"
    if len(tuning) < FEWEST_ROWS:
        few = f"{len(tuning)} questions are too few to show that another is better ({FEWEST_ROWS} are needed)"
        return Choice(usual, tried, f"{stays}: {few}")
    try:
        compared = compare_judged(
            metric,
            champion=usual.scores,
            challenger=best.scores,
            clusters=tuning.clusters,
            significance=_SIGNIFICANCE / len(GRID),  # as many could have been the best by chance (Bonferroni)
        )
    except DataError as error:
        return Choice(usual, tried, f"{stays}: {error}")
    gain = f"a gain of {compared.difference:.3f} (p = {compared.p_better:.2g})"
    if compared.p_better <= compared.significance:
        return Choice(best, tried, f"{best.who}: shown better than the default, {default:.2g}, {gain}")
    return Choice(usual, tried, f"{stays}: {best.who} is not shown better, {gain}")


def told_of_reranker(without: Way, reranked: Way, metric: str) -> str:
    """Whether reading again pays, in a sentence: both ways are of the same questions."""
    try:
        compared = compare_judged(
            metric, champion=without.scores, challenger=reranked.scores, clusters=reranked.asked.clusters
        )
    except DataError as error:
        return f"whether reranking pays is not known: {error}"
    shown = "is shown to pay" if compared.p_better <= _SIGNIFICANCE else "is not shown to pay"
    gain = f"{compared.difference:+.3f} ({compared.low:+.3f} to {compared.high:+.3f})"
    return f"reranking {shown}: {gain} {METRICS[metric]} on {len(reranked.asked):,} questions"


def _side(question: Question, seed: int) -> bool:
    return bool(hashlib.sha256(f"{seed}\0{question.cluster}".encode()).digest()[0] & 1)
