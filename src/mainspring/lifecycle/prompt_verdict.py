"""Is one prompt better than another? Both answered the same held-out questions; score and cost are told together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mainspring.errors import DataError
from mainspring.evaluation import gate
from mainspring.evaluation.intervals import Estimate
from mainspring.evaluation.scores import compare_scores, mean_cost, mean_score
from mainspring.lifecycle.judge import undecided
from mainspring.prompts.fitting import Judged, Question
from mainspring.prompts.metrics import METRICS
from mainspring.prompts.model import Cost
from mainspring.prompts.strategy import Answer
from mainspring.spec import GateSpec


@dataclass(frozen=True, eq=False)
class Judgement:
    """How `who` did on n questions by `metric`; `clusters`, (n,) codes, are those that are not independent."""

    who: str
    metric: str
    judged: Judged
    clusters: np.ndarray | None

    def take(self, rows: np.ndarray) -> Judgement:
        """On some of the questions: (n,) bool."""
        judged = self.judged
        answers = tuple(answer for answer, chosen in zip(judged.answers, rows, strict=True) if chosen)
        some = Judged(judged.scores[rows], judged.tokens[rows], answers)
        return Judgement(self.who, self.metric, some, None if self.clusters is None else self.clusters[rows])

    def estimates(self) -> dict[str, Estimate]:
        """The score, tokens and calls for a question, each with its interval."""
        calls = np.array([answer.cost.calls for answer in self.judged.answers])
        return {
            self.metric: mean_score(self.judged.scores, self.clusters),
            "tokens": mean_cost(self.judged.tokens, self.clusters),
            "calls": mean_cost(calls, self.clusters),
        }

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        found = {name: estimate.as_dict() for name, estimate in self.estimates().items()}
        return {"who": self.who, "questions": len(self.judged.scores), "metrics": found}


def most_frequent_answer(training: Sequence[Question], held: Sequence[Question], metric: str) -> Judged:
    """The trivial baseline: the same answer to every one of `held`, without a token. Of equals, the first."""
    counts = Counter(json.dumps(question.expected, sort_keys=True) for question in training)
    answer = json.loads(counts.most_common(1)[0][0])
    scores = [METRICS[metric](answer, question.expected) for question in held]
    said = Answer(str(answer), answer, (), Cost())
    return Judged(np.array(scores, np.float64), np.zeros(len(held), np.int64), (said,) * len(held))


def halved(spec: GateSpec) -> GateSpec:
    """The gate for the second decision on the same questions: at half the significance (Bonferroni's correction)."""
    return spec.model_copy(update={"significance": spec.significance / 2})


def against_champion(
    name: str, champion: tuple[Judgement, np.ndarray] | str, challenger: Judgement, spec: GateSpec
) -> dict[str, Any]:
    """The gate's verdict on those questions that the champion, version `name`, was judged on too: (n,) bool.

    A champion that could not be judged, and the text says why, leaves the verdict to people.
    """
    against = f"version {name}"
    if isinstance(champion, str):
        return undecided(against, f"the champion, {against}, cannot be compared: {champion}")
    return decide(champion[0], challenger.take(champion[1]), spec, against)


def decide(champion: Judgement, challenger: Judgement, spec: GateSpec, against: str) -> dict[str, Any]:
    """The gate's verdict on the scores, with the tokens of both beside them."""
    try:
        found = compare_scores(
            challenger.metric,
            champion=champion.judged.scores,
            challenger=challenger.judged.scores,
            clusters=challenger.clusters,
            margin=spec.margin,
            significance=spec.significance,
        )
    except DataError as error:
        return undecided(against, str(error))
    verdict = gate.decide(found).as_dict()
    new, old = challenger.judged.tokens_each, champion.judged.tokens_each
    both = {"challenger": challenger, "champion": champion}
    tokens = {role: one.estimates()["tokens"].as_dict() for role, one in both.items()}
    return {
        **verdict,
        "reason": f"{verdict['reason']}; {new:,.0f} tokens a question against {old:,.0f}",
        "against": against,
        "tokens": tokens,
    }
