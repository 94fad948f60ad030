"""Does a passage support a claim? By words alone, so that it can be told why.

A sentence is supported by a window of one or two sentences of a passage. Its numbers, the units at them, its names, and
what is negated in it must all be the window's; of its other words so many, by weight, and in such an order, that a
logistic rule fitted on true and spoilt sentences (`benchmarks/answering/support.py`) takes it for supported. A sentence
that stands there word for word, its negations being the same, is supported for certain.

The rule sees no meaning. Words that change places ("the crew may search passengers") are seen in their order alone;
what is said with other words is not supported; two numbers with one unit may change places unseen in a long sentence.
ALCE (Gao et al., 2023, "Enabling Large Language Models to Generate Text with Citations") asks an entailment model
instead: where one is at hand it is the better judge.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from mainspring.prompts.answering.orders import is_order
from mainspring.prompts.answering.places import sentence_places
from mainspring.prompts.answering.sentences import MARK
from mainspring.prompts.answering.wording import Wording, content, read
from mainspring.runtimes.index.found import Found

# Of the logistic rule, and the least it must give: see the module's text.
BIAS, CONTAINMENT, ORDER = -28.03, 6.91, 23.32
THRESHOLD = 0.5
_NEAR = 3  # content words from one to the next of a pair that keeps its order
_FEWEST = 3  # words of a claim that is more than a lead ("Here's an example:")
_OWN = 0.5  # of a claim's different words that a window has itself, its headings aside
_MARKS = re.compile(MARK)


@dataclass(frozen=True)
class Window:
    """One or two sentences of a passage, at [begin, end) of its document; rows of a table with the names that stand at
    `header`.
    """

    text: str
    begin: int
    end: int
    wording: Wording
    header: tuple[int, int] | None = None


@dataclass(frozen=True)
class Overlap:
    """How much of a claim's content, by weight, a window has, and how much of its order; both from 0 to 1."""

    contained: float
    order: float
    verbatim: bool = False

    @property
    def probability(self) -> float:
        """That the one supports the other; 1 for what stands there word for word."""
        return 1.0 if self.verbatim else _logistic(BIAS + CONTAINMENT * self.contained + ORDER * self.order)


VERBATIM = Overlap(1.0, 1.0, verbatim=True)


@dataclass(frozen=True)
class Support:
    """The window that supports a claim best, and how likely it does."""

    passage: int
    window: Window
    overlap: Overlap

    @property
    def probability(self) -> float:
        """That it does."""
        return self.overlap.probability

    @property
    def enough(self) -> bool:
        """Whether the claim may stand."""
        return self.probability >= THRESHOLD


class Evidence:
    """The passages that an answer may be made of, ready to be asked whether they support what it says."""

    def __init__(self, passages: Sequence[Found]) -> None:
        self.passages = passages
        self.sentences = [
            [Window(one.text, one.begin, one.end, read(one.text), one.header) for one in sentence_places(found)]
            for found in passages
        ]
        self._headings = [tuple(content(" ".join((found.title, *found.passage.path)))) for found in passages]
        every = [set(window.wording.content) for windows in self.sentences for window in windows]
        self._counted = Counter(word for words in every for word in words)
        self._count = len(every)

    @cached_property
    def _windows(self) -> list[list[Window]]:
        return [list(_windows(sentences)) for sentences in self.sentences]

    def weight(self, word: str) -> float:
        """The inverse document frequency of a word, a sentence being a document: greatest where it is in none."""
        having = self._counted[word]
        return math.log(1 + (self._count - having + 0.5) / (having + 0.5))

    def best(self, claim: str, passages: Sequence[int] | None = None) -> Support | None:
        """What supports `claim` best, in one of `passages` (places in the list, all by default).

        None where there is nothing, or the claim says nothing that could be checked.
        """
        said = read(_MARKS.sub(" ", claim))
        if not said.content and not said.numbers:
            return None
        best: Support | None = None
        for at in range(len(self.passages)) if passages is None else passages:
            for window in self._windows[at]:
                overlap = self._compare(said, window, self._headings[at])
                if overlap is not None and (best is None or overlap.probability > best.overlap.probability):
                    best = Support(at, window, overlap)
        return best

    def _compare(self, said: Wording, window: Window, headings: tuple[str, ...]) -> Overlap | None:
        """What they have in common; None where the window cannot support it."""
        there = window.wording
        if not same_polarity(said, there):
            return None
        if _is_claim(said, there) and _stands_in(said.words, there.words):
            return VERBATIM
        every = (*headings, *there.content)
        exact = said.numbers <= there.numbers and said.measures <= there.measures and said.names <= set(every)
        if not exact or len({*said.content, *said.numbers}) < _FEWEST:
            return None
        if len(set(said.content) & set(there.content)) < _OWN * len(set(said.content)):
            return None  # which leaves the headings, and they say nothing
        whole = sum(map(self.weight, said.content))
        if not whole:
            return None
        # What is said more often than it stands there is a model that has lost itself: once is contained, no more.
        both = Counter(said.content) & Counter(every)
        contained = sum(self.weight(word) * count for word, count in both.items()) / whole
        return Overlap(contained, order_kept(said.content, every))


def order_kept(said: Sequence[str], there: Sequence[str]) -> float:
    """The share of neighbouring content words of `said` that `there` has in this order, near each other; 1 of none."""
    pairs = Counter(pairwise(said))
    if not pairs:
        return 1.0
    near = Counter(
        (there[a], there[b]) for a in range(len(there)) for b in range(a + 1, min(a + 1 + _NEAR, len(there)))
    )
    return (pairs & near).total() / pairs.total()


def same_polarity(said: Wording, there: Wording) -> bool:
    """Whether what one negates the other does, as far as both speak of it."""
    if not said.negated and not there.negated:
        return True
    in_said = {word for scope in said.negated for word in scope}
    in_there = {word for scope in there.negated for word in scope}
    if any(scope and scope[0] not in in_there for scope in said.negated):
        return False
    if any(scope and scope[0] in said.content and scope[0] not in in_said for scope in there.negated):
        return False
    # A negation of nothing ("It is not.") can be told by there being one only.
    bare = any(not scope for scope in (*said.negated, *there.negated))
    return not bare or bool(said.negated) == bool(there.negated)


def _is_claim(said: Wording, there: Wording) -> bool:
    """Whether it says enough to be found word for word: a number, a few words, or all that the window says."""
    return bool(said.numbers) or len(said.words) >= _FEWEST or said.words == there.words


def _stands_in(said: tuple[str, ...], there: tuple[str, ...]) -> bool:
    length = len(said)
    return any(there[at : at + length] == said for at in range(len(there) - length + 1))


def _windows(sentences: list[Window]) -> Iterator[Window]:
    """Each sentence, and each two that follow each other; none that speaks to the assistant."""
    orders = {window for window in sentences if is_order(window.text)}
    yield from (window for window in sentences if window not in orders)
    for one, other in pairwise(sentences):
        if one not in orders and other not in orders:
            text = f"{one.text} {other.text}"
            place = min(one.begin, other.begin), max(one.end, other.end)
            yield Window(text, *place, read(text), one.header or other.header)


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))
