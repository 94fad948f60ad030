"""How well an assistant does on questions whose place in the documents is known, as a reader would judge it.

A question is *rightly answered* where the answer cites the place that holds it, or where nothing holds it and nothing
is answered: one number from 0 to 1 for each question, so that two versions are compared in pairs. What is beside it are
the citations by their spans (`citations`), how often there was an answer, and, where answers are known, exact match and
token F1 with silence where there is none (`answers`). All of it is by rule; no language model judges here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mainspring.data.documents.questions import Question, Relevant, clusters_of
from mainspring.errors import DataError
from mainspring.evaluation.answers import answer_scores
from mainspring.evaluation.citations import CitedAnswer, is_right, score_citations
from mainspring.evaluation.intervals import Estimate
from mainspring.evaluation.retrieval import covers
from mainspring.evaluation.scores import mean_of_groups
from mainspring.runtimes.language.protocol import Citation

RIGHTLY = "rightly_answered"
_WORDS = ("exact_match", "token_f1")


@dataclass(frozen=True)
class Reply:
    """What was said to a question. `answer` is None where it was not answered; `places` are those of the question in
    the documents that were asked: there are none where they hold no answer.
    """

    question: Question
    places: tuple[Relevant, ...]
    answer: CitedAnswer | None

    @property
    def rightly(self) -> bool:
        """Whether it cites a place that answers it, or is silent where there is none."""
        if self.answer is None or not self.places:
            return self.answer is None and not self.places
        return any(covers(_place(one), place) for one in self.answer.citations for place in self.places)


@dataclass(frozen=True, eq=False)
class Replies:
    """The replies to n questions; `text_of` gives the text of a document that they cite."""

    replies: tuple[Reply, ...]
    text_of: Callable[[str], str]

    def scores(self, metric: str) -> np.ndarray:
        """Question by question, by `RIGHTLY`, or "exact_match" or "token_f1" of those in `known`: (n,) float64."""
        if metric == RIGHTLY:
            return np.array([one.rightly for one in self.replies], np.float64)
        some = [self.replies[at] for at in self.known]
        texts = [None if one.answer is None else one.answer.text for one in some]
        return answer_scores(metric, texts, [_right(one.question) for one in some])

    def groups(self, metric: str = RIGHTLY) -> np.ndarray:
        """Codes of questions about the same section, which are not independent of each other, as long as `scores`."""
        return self._sections if metric == RIGHTLY else self._sections[self.known]

    @cached_property
    def known(self) -> np.ndarray:
        """The places in `replies` of questions whose answer is known, or that have none."""
        places = [at for at, one in enumerate(self.replies) if one.question.answer or not one.question.places]
        return np.array(places, np.int64)

    @cached_property
    def _sections(self) -> np.ndarray:
        return clusters_of(one.question for one in self.replies)

    def estimates(self) -> dict[str, Estimate]:
        """Every figure that these replies give, by its name, each with an interval over sections.

        `rightly_answered`; `citation_precision` and `citation_recall`; `answered`, of the questions with an answer, and
        `kept_silent`, of those without; `exact_match` and `token_f1`.
        """
        found = {RIGHTLY: mean_of_groups(self.scores(RIGHTLY), self.groups())}
        given = [(one.answer, group) for one, group in zip(self.replies, self.groups(), strict=True) if one.answer]
        try:
            cited = score_citations([one for one, _ in given], self.text_of, [int(group) for _, group in given])
            found |= {"citation_precision": cited.precision, "citation_recall": cited.recall}
        except DataError:  # nothing was cited
            pass
        holds = np.array([bool(one.places) for one in self.replies])
        silent = np.array([one.answer is None for one in self.replies])
        for name, right, of in (("answered", ~silent, holds), ("kept_silent", silent, ~holds)):
            if of.any():
                found[name] = mean_of_groups(right[of].astype(np.float64), self.groups()[of])
        if any(one.question.answer for one in self.replies):
            found |= {name: mean_of_groups(self.scores(name), self.groups(name)) for name in _WORDS}
        return found

    def supported(self, reply: Reply) -> bool:
        """Whether all that `reply` cites is right by its span."""
        assert reply.answer is not None
        text = reply.answer.text
        return all(is_right(text, one, self.text_of(one.source)) for one in reply.answer.citations)


def _place(citation: Citation) -> Relevant:
    return Relevant(citation.source, *citation.place)


def _right(question: Question) -> list[str]:
    return [question.answer] if question.answer and question.places else []
