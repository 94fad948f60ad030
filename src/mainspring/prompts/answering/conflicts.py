"""Sentences of two documents that say the same of something, and not the same thing.

Two sentences are told to conflict if their content words are nearly the same, and each has a number that the other has
not, or one negates what the other does not. Whether both can be true (last year's rule and this year's) words don't
tell: the answer shows both. Rows of tables share the names of their columns, which say little: two are compared only
where their first cells are the same, and a "no" in one negates its cell, and not all that the row says.
"""

from __future__ import annotations

from dataclasses import dataclass

from mainspring.prompts.answering.support import Evidence, Window, same_polarity

_ALIKE = 0.6  # of the content words' weight, that both have, of what either has
_FEWEST = 3  # content words in common


@dataclass(frozen=True)
class Conflict:
    """Two windows, each with its passage's place in the list."""

    passage: int
    window: Window
    other_passage: int
    other: Window


def conflicts(evidence: Evidence, cited: list[tuple[int, tuple[int, int]]]) -> list[Conflict]:
    """The conflicts that a cited place has with sentences of other documents, each pair once."""
    found: list[Conflict] = []
    seen: set[frozenset[tuple[int, int]]] = set()
    for at, (begin, end) in cited:
        for window in evidence.sentences[at]:
            if window.begin >= end or window.end <= begin:
                continue
            for other_at, sentences in enumerate(evidence.sentences):
                if evidence.passages[other_at].passage.source == evidence.passages[at].passage.source:
                    continue
                for other in sentences:
                    pair = frozenset(((at, window.begin), (other_at, other.begin)))
                    if pair not in seen and contradict(evidence, window, other):
                        seen.add(pair)
                        found.append(Conflict(at, window, other_at, other))
    return found


def contradict(evidence: Evidence, one: Window, other: Window) -> bool:
    """Whether they say nearly the same, with another number or a negation more."""
    if one.header and other.header and _first_cell(one) != _first_cell(other):
        return False
    first, second = set(one.wording.content), set(other.wording.content)
    both, either = first & second, first | second
    if len(both) < _FEWEST or sum(map(evidence.weight, both)) < _ALIKE * sum(map(evidence.weight, either)):
        return False
    only_one = one.wording.numbers - other.wording.numbers
    only_other = other.wording.numbers - one.wording.numbers
    if only_one and only_other:
        return True
    return not (one.header or other.header or same_polarity(one.wording, other.wording))


def _first_cell(row: Window) -> str:
    return row.text.partition(";")[0].rpartition(": ")[2].casefold()
