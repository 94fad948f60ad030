"""Is a version of a collection better than the champion? Both are asked the same questions, and compared in pairs.

There are two reasons for a new version, and they are judged by different rules. If the spec is another (a splitter, an
embedder, a fusion), the new version is a challenger like any other: it has to be shown better. If the documents alone
are others, what the champion knows is out of date, and to be up to date is the purpose: the new version goes live
unless it is shown to find the answers worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mainspring.errors import DataError
from mainspring.evaluation import gate
from mainspring.evaluation.scores import compare_scores
from mainspring.lifecycle.judge import undecided
from mainspring.spec import GateSpec


@dataclass(frozen=True, eq=False)
class Scored:
    """How `who` did on n questions by `metric`: `scores`, (n,) float64, from 0 to 1."""

    who: str
    metric: str
    scores: np.ndarray


def first(evidence: str) -> dict[str, Any]:
    """The first version is let in on what is known of it: nothing is live that it could be worse than."""
    return {"decision": "promote", "reason": f"the first version; {evidence}", "against": "baseline"}


def without_questions(champion: str, *, fresh: bool, evidence: str) -> dict[str, Any]:
    """New documents go live; whether another spec is better, nobody has shown."""
    if fresh:
        return {
            "decision": "promote",
            "reason": f"the documents are others; {evidence}; there are no questions to judge by",
            "against": f"version {champion}",
        }
    return undecided(
        f"version {champion}",
        f"{evidence}; there are no questions to judge by (`questions`), so whether it finds more than version "
        f"{champion} is for you to say",
    )


def against_champion(
    champion: str, live: Scored | str, challenger: Scored, spec: GateSpec, *, fresh: bool
) -> dict[str, Any]:
    """The gate's verdict. A champion that could not be asked, and the text says why, leaves it to people, unless the
    documents alone are others.
    """
    against = f"version {champion}"
    if isinstance(live, str):
        if fresh:
            reason = f"the documents are others, and the champion, {against}, cannot be compared: {live}"
            return {"decision": "promote", "reason": reason, "against": against}
        return undecided(against, f"the champion, {against}, cannot be compared: {live}")
    try:
        found = compare_scores(
            challenger.metric,
            champion=live.scores,
            challenger=challenger.scores,
            margin=0.0 if fresh else spec.margin,
            significance=spec.significance,
        )
    except DataError as error:
        return undecided(against, str(error))
    verdict = gate.decide(found).as_dict()
    if fresh and verdict["decision"] == "insufficient evidence":
        told = f"the documents are others, and it is not shown to find less: {verdict['reason']}"
        verdict |= {"decision": "promote", "reason": told}
    return {**verdict, "against": against}
