"""What is searched for where a question needs the conversation to be understood.

"And for children?" finds nothing. Besides the question as it was asked, it is searched for with the user's questions
before it in front, and each passage counts with its better score. A language model's own rewriting (Elgohary et al.,
2019, CANARD) was measured as a third form, and finds less: docs/benchmarks.md, "Retrieval: answering".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mainspring.prompts.answering.wording import content
from mainspring.runtimes.index.found import Found, Searched

_REFERS = re.compile(
    r"\b(?:it|its|it's|that|this|these|those|they|them|their|he|she|him|her|his|one|ones|same|former|latter|"
    r"above)\b"
    r"|^(?:and|but|or|so|what about|how about|why|what if|then)\b",
    re.IGNORECASE,
)
_FEW = 3  # content words that a question alone rarely makes do with
_LONGEST = 1000  # characters of the conversation's words, the last ones


def needs_conversation(question: str) -> bool:
    """Whether `question` speaks of what was said before, as far as words show it.

    >>> needs_conversation("And for children?"), needs_conversation("How heavy may a checked bag of a child be?")
    (True, False)
    """
    return _REFERS.search(question) is not None or len(content(question)) < _FEW


def with_conversation(question: str, before: Sequence[str]) -> str:
    """The user's questions `before`, back to the last that stands alone, and then `question`."""
    taken: list[str] = []
    for earlier in reversed(before):
        taken.insert(0, earlier)
        if not needs_conversation(earlier):
            break
    return f"{' '.join(taken)[-_LONGEST:]} {question}"


def either(results: Sequence[Searched], k: int) -> Searched:
    """The best k of what several forms of one question found; answerable, if any of them is."""
    best: dict[str, Found] = {}
    for searched in results:
        for found in searched.found:
            if found.id not in best or found.score > best[found.id].score:
                best[found.id] = found
    ranked = sorted(best.values(), key=lambda found: -found.score)[:k]
    surest = max(results, key=lambda searched: -1.0 if searched.answerable is None else searched.answerable)
    return Searched(found=ranked, answerable=surest.answerable, threshold=surest.threshold)
