"""How good answers from passages are: which questions were answered, and, where answers are known, how well.

Abstention is a ranking of questions by how likely their answer is there (the area under the ROC curve), and a decision
at the threshold. Exact match and token F1 are SQuAD's (`prompts/metrics.py`); a question without an answer is right
where nothing was answered (SQuAD 2.0: Rajpurkar et al., 2018).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mainspring.evaluation.intervals import Estimate, estimate
from mainspring.evaluation.metrics import Predictions
from mainspring.evaluation.scores import mean_of_groups
from mainspring.prompts.answering.sentences import MARK
from mainspring.prompts.metrics import METRICS

_MARKS = re.compile(rf"\s*{MARK}")


@dataclass(frozen=True)
class Abstention:
    """How well questions with answers are told from those without, and what the threshold makes of it.

    `answered` is the share of the questions with an answer that are answered, `kept_silent` that of those without one
    that are not.
    """

    roc_auc: Estimate
    answered: Estimate
    kept_silent: Estimate


def score_abstention(
    probabilities: np.ndarray, holds: np.ndarray, threshold: float, clusters: np.ndarray | None = None
) -> Abstention:
    """Of n questions, `probabilities` (n,) that their answer is there and whether it is, `holds` (n,) bool.

    `clusters`, (n,) codes, are of questions that are not independent of each other; all are, where None.

    Raises:
        DataError: all have an answer, or none has.
    """
    truth = np.asarray(holds, bool)
    scores = np.asarray(probabilities, np.float64)
    answered = scores >= threshold
    ranked = Predictions(answered.astype(np.int64), np.column_stack([1 - scores, scores]))
    groups = np.arange(len(truth)) if clusters is None else clusters

    def share(right: np.ndarray, of: np.ndarray) -> Estimate:
        return mean_of_groups(right[of].astype(np.float64), groups[of])

    return Abstention(
        roc_auc=estimate("roc_auc", truth.astype(np.int64), ranked, clusters=clusters),
        answered=share(answered, truth),
        kept_silent=share(~answered, ~truth),
    )


def answer_scores(metric: str, answers: Sequence[str | None], expected: Sequence[Sequence[str]]) -> np.ndarray:
    """What each answer is worth by "exact_match" or "token_f1", its citation marks aside: (n,) float64, 0 to 1.

    `answers` has None for a question that was not answered, `expected` what is right, of which the best counts, and
    nothing for a question that has no answer.
    """
    worth = METRICS[metric]
    return np.array(
        [
            max(worth(None if answer is None else _MARKS.sub("", answer), one) for one in right)
            if right
            else float(answer is None)
            for answer, right in zip(answers, expected, strict=True)
        ],
        np.float64,
    )
