"""How well passages are found: judged by places in the documents, question by question.

What counts are *places found*, and not passages: a place is found at the first passage that covers enough of it, and
what comes after that and says the same again earns nothing (as in alpha-nDCG with alpha 1: Clarke and others, 2008).
So two splitters can be compared by the same questions. A passage covers enough of a place if what both share is at
least half of the shorter one: half of a quote, or, of a section that is longer than any passage, a passage that lies
in it by half. Cut a text in whatever way without leaving anything out, and some piece covers enough of each place.

- recall@k: the part of a question's places that are found among the first k passages.
- MRR: one divided by the rank of the first place found; 0 if there is none (Voorhees, TREC-8, 1999).
- nDCG@k: each place found counts 1 / log2(1 + rank), divided by what the best order would give (Järvelin and
  Kekäläinen, 2002). The best order has a place at each rank; so if one passage covers several, the second of them
  counts at rank 2 at the earliest, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from mainspring.data.documents.passages import Passage
from mainspring.data.documents.questions import Relevant
from mainspring.errors import DataError
from mainspring.evaluation.comparison import Comparison
from mainspring.evaluation.intervals import Estimate
from mainspring.evaluation.scores import compare_scores, mean_score

ENOUGH = 0.5
RECALL_AT = 5
NDCG_AT = 10

Place: TypeAlias = Relevant | Passage


def covers(passage: Place, place: Place) -> bool:
    """Whether what both share is at least half of the shorter one."""
    if passage.source != place.source:
        return False
    shared = min(passage.end, place.end) - max(passage.begin, place.begin)
    return shared > 0 and shared >= ENOUGH * min(passage.end - passage.begin, place.end - place.begin)


def ranks(found: Sequence[Place], places: Sequence[Place]) -> np.ndarray:
    """At which rank, from 1, each place is found among the passages `found`, best first: (places,) float64, ascending;
    infinite if it is not.
    """
    firsts = [
        next((rank for rank, passage in enumerate(found, start=1) if covers(passage, place)), np.inf)
        for place in places
    ]
    return np.sort(np.array(firsts, dtype=np.float64))


def recall_at(ranks: np.ndarray, k: int) -> float:
    """The part of the places that are found at rank k or before. `ranks`: (places,), at least one."""
    return float((ranks <= k).mean())


def reciprocal_rank(ranks: np.ndarray) -> float:
    """1 / the rank of the first place found. `ranks`: (places,), ascending, at least one."""
    return float(1 / ranks[0])


def ndcg_at(ranks: np.ndarray, k: int) -> float:
    """The discounted gain of the places found at rank k or before, as a part of the best possible. `ranks`: (places,),
    ascending, at least one.
    """
    best = np.arange(1.0, len(ranks) + 1)
    counted = np.maximum(ranks, best)
    return float((1 / np.log2(1 + counted[counted <= k])).sum() / (1 / np.log2(1 + best[best <= k])).sum())


@dataclass(frozen=True, eq=False)
class Judged:
    """The scores of n questions, each (n,) float64 from 0 to 1, and where their first place was found: (n,), infinite
    where nowhere.
    """

    ndcg: np.ndarray
    recall: np.ndarray
    mrr: np.ndarray
    first: np.ndarray

    def of(self, metric: str) -> np.ndarray:
        """The scores by a `metric` of the spec: "ndcg" (at 10), "recall" (at 5) or "mrr"."""
        return {"ndcg": self.ndcg, "recall": self.recall, "mrr": self.mrr}[metric]

    def estimates(self, clusters: np.ndarray | None = None) -> dict[str, Estimate]:
        """The mean of each metric with its interval. `clusters`: (n,) codes of questions about the same section."""
        return {metric: mean_score(self.of(metric), clusters) for metric in ("ndcg", "recall", "mrr")}


def judge(found: Sequence[Sequence[Place]], places: Sequence[Sequence[Place]]) -> Judged:
    """Scores of n questions: the passages found for each, best first, and the places that answer it.

    MRR looks as far down as `found` does.

    Raises:
        DataError: there is no question, one has no place, or both are not of the same length.
    """
    if len(found) != len(places):
        raise DataError(f"there are results of {len(found)} questions, and places of {len(places)}")
    if not places:
        raise DataError("there are no questions with known places to judge by")
    if without := [at for at, each in enumerate(places) if not each]:
        raise DataError(f"question {without[0] + 1} has no place: what has no answer cannot be found")
    each = [ranks(one, known) for one, known in zip(found, places, strict=True)]
    return Judged(
        ndcg=np.array([ndcg_at(one, NDCG_AT) for one in each]),
        recall=np.array([recall_at(one, RECALL_AT) for one in each]),
        mrr=np.array([reciprocal_rank(one) for one in each]),
        first=np.array([one[0] for one in each]),
    )


def compare_judged(
    metric: str,
    *,
    champion: Judged,
    challenger: Judged,
    clusters: np.ndarray | None = None,
    margin: float = 0.0,
    significance: float = 0.05,
) -> Comparison:
    """A paired test of both on the same questions, by "ndcg", "recall" or "mrr"; see `scores.compare_scores`.

    Raises:
        DataError: there are fewer than two questions or clusters.
    """
    return compare_scores(
        metric,
        champion=champion.of(metric),
        challenger=challenger.of(metric),
        clusters=clusters,
        margin=margin,
        significance=significance,
    )
