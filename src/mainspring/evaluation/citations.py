"""Are the citations of answers right, by the spans that they name?

Precision is the share of citations whose quote says what the sentence says; recall that of the answer's sentences that
have such a citation (ALCE, Gao et al., 2023, with a span check in the place of its entailment model). The check is
another one than that which answers are made with, so that it can find its mistakes: the longest common subsequence of
all words, small ones too, must have four fifths of the sentence's (ROUGE-L: Lin, 2004), and its numbers must be there.
Of a row of a table, the names of the columns count as well, as far as they stand where the citation says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mainspring.errors import DataError
from mainspring.evaluation.intervals import Estimate
from mainspring.evaluation.scores import mean_of_groups
from mainspring.prompts.answering.sentences import MARK, split
from mainspring.runtimes.language.protocol import Citation

_ENOUGH = 0.8
_MARKS = re.compile(rf"\s*{MARK}")
_WORD = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+")


@dataclass(frozen=True)
class CitedAnswer:
    """An answer with its citations."""

    text: str
    citations: tuple[Citation, ...]


@dataclass(frozen=True)
class CitationScores:
    """Precision over all citations, recall over all sentences, of answers that are drawn together each."""

    precision: Estimate
    recall: Estimate
    citations: int
    sentences: int


def score_citations(
    answers: Sequence[CitedAnswer], text_of: Callable[[str], str], groups: Sequence[int] | None = None
) -> CitationScores:
    """The citations of `answers`, each checked against its document.

    Args:
        answers: those that were given; one that abstains has nothing to be checked.
        text_of: the text of a document, by its source. A quote that does not stand at its place is wrong.
        groups: of each answer, a code of those that are not independent, as answers about one section; None if all are.

    Raises:
        DataError: there is no citation at all.
    """
    right: list[bool] = []
    supported: list[bool] = []
    of_citation: list[int] = []
    of_sentence: list[int] = []
    for number, answer in zip(range(len(answers)) if groups is None else groups, answers, strict=True):
        good = [is_right(answer.text, citation, text_of(citation.source)) for citation in answer.citations]
        right += good
        of_citation += [number] * len(good)
        for begin, end in split(answer.text):
            if not _words(_MARKS.sub("", answer.text[begin:end])):
                continue
            within = zip(answer.citations, good, strict=True)
            supported.append(any(is_good for one, is_good in within if one.begin < end and one.end > begin))
            of_sentence.append(number)
    if not right:
        raise DataError("none of the answers has a citation: there is nothing to be scored")
    return CitationScores(
        precision=mean_of_groups(np.array(right, np.float64), np.array(of_citation)),
        recall=mean_of_groups(np.array(supported, np.float64), np.array(of_sentence)),
        citations=len(right),
        sentences=len(supported),
    )


def says(quote: str, claim: str, header: str = "") -> bool:
    """Whether `quote` says what `claim` says, by the words of both in their order; a row of a table with its `header`,
    whose names the claim may have between those of the row, and which say nothing of the row.
    """
    said, there = _words(claim), _words(quote)
    for name in _words(header):
        if name in said:
            said.remove(name)
    if not said or not {word for word in said if word[0].isdigit()} <= {*there}:
        return False
    return _common(said, there) >= _ENOUGH * len(said)


def is_right(answer: str, citation: Citation, document: str) -> bool:
    """Whether the quote stands at its place in `document`, and says what `answer` says where it is cited."""
    begin, end = citation.place
    header = document[slice(*citation.header)] if citation.header else ""
    return document[begin:end] == citation.quote and says(citation.quote, answer[citation.begin : citation.end], header)


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _common(one: list[str], other: list[str]) -> int:
    """The length of the longest common subsequence."""
    row = np.zeros(len(other) + 1, np.int64)
    for word in one:
        longer = row[:-1] + np.array([word == there for there in other], np.int64)
        row[1:] = np.maximum.accumulate(np.maximum(row[1:], longer))
    return int(row[-1])
