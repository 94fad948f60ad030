"""What may be tried for a task: the strategies that the data allows, and choices of examples.

A prompt's own examples are the first choice; others are drawn from the training questions. Examples that reason are
rarely written by hand: the model's own reasonings that came to the right answer serve (Zelikman et al., 2022, "STaR";
Khattab et al., 2023, "DSPy", call it bootstrapping).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from mainspring.errors import SpecError
from mainspring.prompts.fitting import Candidate, Question, judge
from mainspring.prompts.metrics import Metric
from mainspring.prompts.model import LanguageModel
from mainspring.prompts.prompt import Example, Prompt
from mainspring.prompts.strategies import (
    STRATEGIES,
    ChainOfThought,
    Direct,
    FewShot,
    NearestExamples,
    SelfConsistency,
    ZeroShotChainOfThought,
)
from mainspring.prompts.template import as_asked
from mainspring.spec.mistakes import choices

Examples: TypeAlias = tuple[Example, ...]
_MOST_NEARBY = 2_000  # questions; a version keeps them in its file, and each has to be made a vector


def candidates(
    prompt: Prompt,
    names: Iterable[str],
    questions: Sequence[Question],
    *,
    reasoned: Sequence[Example] = (),
    draws: int = 3,
    seed: int = 0,
) -> list[Candidate]:
    """`prompt` as it is, and with each of the strategies called `names`, with their default parameters.

    Strategies that show fixed examples come once with the prompt's own and `draws` times with examples drawn from
    `questions` (or from `reasoned`, where they show reasoning and there are two at least, for one that is asked itself
    is not shown); the nearest ones are looked for among the prompt's own and up to 2,000 questions, drawn where there
    are more. What a strategy lacks leaves it out.

    Raises:
        SpecError: there is no such strategy.
    """
    found = [Candidate(f"{prompt.strategy.name}, as written", prompt)]
    pool = tuple(Example(question.values, question.expected) for question in questions)
    nearby = pool if len(pool) <= _MOST_NEARBY else next(_drawn(pool, _MOST_NEARBY, 1, np.random.default_rng(seed)))[1]
    reasonings = tuple({as_asked(example.values): example for example in reasoned}.values())
    if len(reasonings) < 2:
        reasonings = ()
    random = np.random.default_rng(seed)
    for name in names:
        if name not in STRATEGIES:
            raise SpecError(f"{name!r} is not a strategy{choices(name, STRATEGIES)}")
        strategy = STRATEGIES[name]()
        chosen: Iterable[tuple[str, Examples]] = [("", prompt.examples)]
        if isinstance(strategy, NearestExamples):
            chosen = [("", prompt.examples + nearby)]
        elif isinstance(strategy, FewShot):
            chosen = [*chosen, *_drawn(pool, strategy.shots, draws, random)]
        elif isinstance(strategy, ChainOfThought | SelfConsistency):
            chosen = [*chosen, *_drawn(reasonings, strategy.shots, draws, random)]
        for label, examples in chosen:
            given = replace(prompt, strategy=Direct(), examples=examples)
            tried = [candidate.prompt for candidate in found]
            if strategy.lacks(given) is None and (fitted := replace(given, strategy=strategy)) not in tried:
                found.append(Candidate(name + label, fitted))
    return found


async def reasoned_by(
    model: LanguageModel, prompt: Prompt, questions: Sequence[Question], metric: Metric, *, most: int = 16
) -> list[Example]:
    """Examples with the model's own reasoning: the first `most` of `questions` that it gets right by reasoning."""
    judged = await judge(replace(prompt, strategy=ZeroShotChainOfThought(), examples=()), questions, metric, model)
    return [
        Example(question.values, question.expected, answer.trace[0].said[0].strip())
        for question, answer, score in zip(questions, judged.answers, judged.scores, strict=True)
        if score == 1
    ][:most]


def _drawn(pool: Examples, shots: int, draws: int, random: np.random.Generator) -> Iterator[tuple[str, Examples]]:
    """`draws` choices of `shots` examples; one, where the pool has no more than these, and none where it is empty."""
    for number in range(1, 1 + (draws if len(pool) > shots else min(draws, len(pool), 1))):
        yield f", examples {number}", tuple(pool[index] for index in random.permutation(len(pool))[:shots])
