"""How well a version knows what it does not know, on the questions that judge."""

from __future__ import annotations

import numpy as np

from mainspring.errors import DataError
from mainspring.evaluation.answers import score_abstention
from mainspring.lifecycle.retrieval_report import Abstaining
from mainspring.runtimes.index.answerable import Answerability
from mainspring.runtimes.index.index import Index
from mainspring.tasks import retrieval
from mainspring.tasks.retrieval import Asked


def abstaining(index: Index, asked: Asked, dense_weight: float, rule: Answerability | None) -> Abstaining | None:
    """As the report tells it; None where there is no rule, or nothing to judge it by."""
    if rule is None or not len(asked):
        return None
    material = retrieval.told(index, asked, dense_weight)
    probabilities = np.array([rule.probability(each) for each in material.found])
    # A score is at most 1, and at least -1: as a probability it is that between 0 and 1.
    best = np.array([(each[0].score + 1) / 2 if each else 0.0 for each in material.found])
    try:
        found = score_abstention(probabilities, material.holds, rule.threshold, material.clusters)
        plain = score_abstention(best, material.holds, 0.5, material.clusters)
    except DataError:
        return None
    return Abstaining(
        answerable=int(material.holds.sum()),
        unanswerable=int((~material.holds).sum()),
        roc_auc=found.roc_auc.as_dict(),
        by_top_score=plain.roc_auc.as_dict(),
        threshold=rule.threshold,
        answered=found.answered.as_dict(),
        refused=found.kept_silent.as_dict(),
    )
