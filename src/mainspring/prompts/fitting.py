"""The candidate that does best on questions with known answers.

All candidates start on the first few training questions; the better half goes on to twice as many, until the last ones
have seen all: successive halving (Jamieson & Talwalkar, 2016, "Non-stochastic Best Arm Identification and
Hyperparameter Optimization"). The questions of a round are asked as one batch. The best mean score wins, and of equals
the one that takes fewer tokens.

That a candidate won on training questions proves little: it was the best of many. `judge` it and the champion on
questions that were held out, and compare the two `scores` in pairs, as `evaluation.scores.compare_scores` does. Where
reasoning does not help the model, that says "insufficient evidence", or "reject".
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from mainspring.errors import ContextError, DataError, SpecError
from mainspring.prompts.metrics import Metric
from mainspring.prompts.model import Cost, LanguageModel
from mainspring.prompts.prompt import Prompt
from mainspring.prompts.strategy import Answer
from mainspring.prompts.template import as_asked

_FEWEST_QUESTIONS = 8  # in the first round
_Asked: TypeAlias = frozenset[tuple[str, str]]  # see `as_asked`


@dataclass(frozen=True)
class Question:
    """What is put in a prompt's variables, and the right answer."""

    values: Mapping[str, Any]
    expected: Any


@dataclass(frozen=True)
class Candidate:
    """A prompt, and what to call it in a report: "few-shot, examples 2"."""

    name: str
    prompt: Prompt


@dataclass(frozen=True, eq=False)
class Judged:
    """What a prompt is worth on n questions.

    `scores`: (n,) float64, 0 to 1; `tokens`: (n,) int64, what each answer took. Both in the order of the questions.
    """

    scores: np.ndarray
    tokens: np.ndarray
    answers: tuple[Answer, ...]

    @property
    def score(self) -> float:
        """The mean."""
        return float(self.scores.mean())

    @property
    def tokens_each(self) -> float:
        """Tokens for a question, in the mean."""
        return float(self.tokens.mean())

    def __add__(self, other: Judged) -> Judged:
        return Judged(
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.tokens, other.tokens]),
            self.answers + other.answers,
        )


@dataclass(frozen=True, eq=False)
class Trial:
    """A candidate and how it did, on as many of the questions as it got to see."""

    candidate: Candidate
    judged: Judged

    @property
    def rank(self) -> tuple[float, float]:
        """Smaller is better: the score, and of equal scores the tokens."""
        return -round(self.judged.score, 9), self.judged.tokens_each

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "candidate": self.candidate.name,
            "strategy": self.candidate.prompt.strategy.name,
            "questions": len(self.judged.scores),
            "score": self.judged.score,
            "tokens": self.judged.tokens_each,
            "calls": sum(answer.cost.calls for answer in self.judged.answers) / len(self.judged.answers),
        }


@dataclass(frozen=True, eq=False)
class Fitted:
    """The winner, and all trials: those that saw most first, and of these the better ones."""

    best: Candidate
    trials: tuple[Trial, ...]


async def judge(prompt: Prompt, questions: Sequence[Question], metric: Metric, model: LanguageModel) -> Judged:
    """Ask all `questions`, as one batch. DataError if there are none."""
    [judged] = await _judge_all([prompt], questions, metric, model)
    return judged


async def fit(
    candidates: Sequence[Candidate],
    questions: Sequence[Question],
    metric: Metric,
    model: LanguageModel,
    *,
    seed: int = 0,
    progress: Callable[[Sequence[Trial], int], None] = lambda trials, kept: None,
) -> Fitted:
    """The best of `candidates` on training `questions`, which are taken in an order drawn from `seed`.

    `progress` is told after each round: its trials, the best first, and how many of them go on.

    Raises:
        DataError: there is no candidate, or no question.
        RequestError: a question does not fit the variables of a prompt, or the engine cannot do what one asks for.
    """
    if not candidates:
        raise DataError("a prompt cannot be fitted without a candidate")
    order = np.random.default_rng(seed).permutation(len(questions))
    shuffled = [questions[index] for index in order]
    running: list[tuple[Candidate, Judged | None]] = [(candidate, None) for candidate in candidates]
    trials, stopped = list[Trial](), list[Trial]()
    seen = 0
    for upto in _rounds(len(candidates), len(questions)):
        judged = await _judge_all([candidate.prompt for candidate, _ in running], shuffled[seen:upto], metric, model)
        trials = [
            Trial(candidate, new if before is None else before + new)
            for (candidate, before), new in zip(running, judged, strict=True)
        ]
        trials.sort(key=lambda trial: trial.rank)
        kept = len(trials) if upto == len(questions) else math.ceil(len(trials) / 2)
        progress(trials, kept)
        stopped = trials[kept:] + stopped
        running, seen = [(trial.candidate, trial.judged) for trial in trials[:kept]], upto
    return Fitted(trials[0].candidate, (*trials, *stopped))


def _rounds(candidates: int, questions: int) -> list[int]:
    """After how many questions the candidates are halved: the last round has all of them, and two or so candidates."""
    sizes = [questions]
    while 2 ** len(sizes) <= candidates and sizes[0] // 2 >= _FEWEST_QUESTIONS:
        sizes.insert(0, sizes[0] // 2)
    return sizes


async def _judge_all(
    prompts: Sequence[Prompt], questions: Sequence[Question], metric: Metric, model: LanguageModel
) -> list[Judged]:
    """All prompts on all questions, as many at a time as the model takes."""
    if not questions:
        raise DataError("a prompt cannot be judged without a question")
    slots = asyncio.Semaphore(model.concurrency)  # a deadline begins when a question is taken up

    async def answer(prompt: Prompt, shown: list[_Asked], question: Question) -> Answer:
        async with slots:
            return await _answer(prompt, shown, question, model)

    shown = [[as_asked(example.values) for example in prompt.examples] for prompt in prompts]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                [group.create_task(answer(prompt, examples, question)) for question in questions]
                for prompt, examples in zip(prompts, shown, strict=True)
            ]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [_judged([task.result() for task in row], questions, metric) for row in tasks]


async def _answer(prompt: Prompt, shown: list[_Asked], question: Question, model: LanguageModel) -> Answer:
    """The answer, given without sight of the right one: an example that is the question itself is left out.

    Where too few examples are left, or they do not fit in beside a long question, that is a fault of the candidate: its
    answer is a wrong one.
    """
    asked = as_asked(question.values)
    try:
        if asked in shown:
            prompt = prompt.with_examples([place for place, example in enumerate(shown) if example != asked])
        return await prompt.answer(question.values, model)
    except (ContextError, SpecError) as error:
        return Answer("", None, (), Cost(), str(error))


def _judged(answers: Sequence[Answer], questions: Sequence[Question], metric: Metric) -> Judged:
    scores = [metric(answer.value, question.expected) for answer, question in zip(answers, questions, strict=True)]
    tokens = [answer.cost.tokens for answer in answers]
    return Judged(np.array(scores, dtype=np.float64), np.array(tokens, dtype=np.int64), tuple(answers))
