"""Answers that are the passages' own sentences: exact by construction.

The sentences that are nearest to the question are taken, by the weight of the question's words in them, or by an
embedder's cosine where there is one; those of passages that were found first have a start. Then they are put in the
order of the passages, best first, and within one in the order of its text.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import numpy as np

from mainspring.prompts.answering.orders import is_order
from mainspring.prompts.answering.support import Evidence, Window
from mainspring.prompts.answering.wording import content

Embed: TypeAlias = Callable[[list[str]], Awaitable[np.ndarray]]  # texts → (n, width), of length 1

_LONGEST = 600  # characters: a sentence that is longer is a program, or a list without marks
_BY_RANK = 0.5  # what the first passage is ahead of the last
_FEWEST_WORDS = 3


async def best_sentences(
    question: str, evidence: Evidence, ranks: Sequence[int], most: int, embed: Embed | None = None
) -> list[tuple[int, Window]]:
    """At most `most` sentences, each with its passage's place in the list. `ranks`: the passages' own, 0 the best."""
    candidates = [
        (at, window)
        for at, sentences in enumerate(evidence.sentences)
        for window in sentences
        if len(window.text) <= _LONGEST and len(window.wording.words) >= _FEWEST_WORDS
        if not window.text.rstrip().endswith(("?", ":")) and not is_order(window.text)
    ]
    if not candidates:
        return []
    texts = [window.text for _, window in candidates]
    near = await _cosines(question, texts, embed) if embed else _overlaps(question, candidates, evidence)
    ahead = np.array([_BY_RANK * (1 - ranks[at] / max(1, len(ranks))) for at, _ in candidates])
    order = np.argsort(-(near + ahead), kind="stable")[:most]
    chosen = sorted(order, key=lambda place: (ranks[candidates[place][0]], candidates[place][1].begin))
    return [candidates[place] for place in chosen]


async def _cosines(question: str, texts: list[str], embed: Embed) -> np.ndarray:
    vectors = await embed([question, *texts])
    return np.asarray(vectors[1:] @ vectors[0])


def _overlaps(question: str, candidates: list[tuple[int, Window]], evidence: Evidence) -> np.ndarray:
    asked = {word: evidence.weight(word) for word in content(question)}
    whole = sum(asked.values()) or 1.0
    return np.array(
        [
            sum(weight for word, weight in asked.items() if word in window.wording.words) / whole
            for _, window in candidates
        ]
    )
