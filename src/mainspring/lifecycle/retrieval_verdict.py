"""Is a version of a collection better than the champion? Both are asked the same questions, and compared in pairs.

There are two reasons for a new version, and they are judged by different rules. If the spec is another (a splitter, an
embedder, a fusion), the new version is a challenger like any other: it has to be shown better. If the documents alone
are others, what the champion knows is out of date, and to be up to date is the purpose: the new version goes live
unless it is shown to find the answers worse.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mainspring.errors import DataError
from mainspring.evaluation import gate
from mainspring.evaluation.retrieval import Judged, compare_judged
from mainspring.lifecycle.judge import undecided
from mainspring.spec import GateSpec


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
    champion: str,
    live: Judged | str,
    challenger: Judged,
    *,
    metric: str,
    clusters: np.ndarray | None,
    spec: GateSpec,
    fresh: bool,
) -> dict[str, Any]:
    """The gate's verdict. Where nothing can be compared, and the text says why, it is left to people, unless the
    documents alone are others.

    Args:
        champion: the version that is live.
        live: its scores, or why there are none.
        challenger: the new version's, on the same questions.
        metric: of the spec.
        clusters: (n,) codes of questions about the same section, which are not independent; None if each has its own.
        spec: what is asked of a challenger.
        fresh: whether the documents alone are others.
    """
    against = f"version {champion}"
    try:
        if isinstance(live, str):
            raise DataError(live)
        found = compare_judged(
            metric,
            champion=live,
            challenger=challenger,
            clusters=clusters,
            margin=0.0 if fresh else spec.margin,
            significance=spec.significance,
        )
    except DataError as error:
        told = f"the champion, {against}, cannot be compared: {error}"
        if not fresh:
            return undecided(against, told)
        return {"decision": "promote", "reason": f"the documents are others, and {told}", "against": against}
    verdict = gate.decide(found).as_dict()
    if fresh and verdict["decision"] == "insufficient evidence":
        told = f"the documents are others, and it is not shown to find less: {verdict['reason']}"
        verdict |= {"decision": "promote", "reason": told}
    return {**verdict, "against": against}
