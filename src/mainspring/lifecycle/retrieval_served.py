"""How a version of a collection does on questions, as it is served.

The places of the questions are those in the documents as they are now. In the version's copy of a document a place is
where the same words stand. A place whose words it does not have, it cannot find: it is out of date there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mainspring.data.documents.questions import Question, Relevant
from mainspring.errors import RequestError
from mainspring.evaluation.retrieval import Judged, judge
from mainspring.lifecycle.indexes import open_index
from mainspring.registry.versions import Version
from mainspring.runtimes.index.index import Index
from mainspring.spec import Project
from mainspring.tasks import retrieval
from mainspring.tasks.retrieval import DEEP, Asked

NOWHERE = Relevant("", 0, 0)


@dataclass(frozen=True, eq=False)
class Served:
    """The scores of n questions, each with the first passages it found; `outdated` have a place that is not there."""

    asked: Asked
    scores: Judged
    outdated: int


async def served(
    project: Project, version: Version, questions: Sequence[Question], text_of: Callable[[str], str]
) -> Served:
    """Ask a version.

    Args:
        project: the project.
        version: it.
        questions: those that the documents answer.
        text_of: the text of a document as it is now, of which the questions' places are.

    Raises:
        MainspringError: it cannot be asked.
        DataError: there is no question.
    """
    opened = await open_index(project.state, version)
    try:
        index = opened.index
        asked = await retrieval.ask(opened.embedder, index.settings.embedder, questions)
        found = [
            opened.searcher.near(one.text, vector, DEEP).found
            for one, vector in zip(questions, asked.vectors, strict=True)
        ]
        places = [places_in(index, one, text_of) for one in questions]
        scores = judge([[one.passage for one in each] for each in found], places)
        return Served(asked, scores, sum(NOWHERE in each for each in places))
    finally:
        await opened.close()


def places_in(index: Index, question: Question, text_of: Callable[[str], str]) -> tuple[Relevant, ...]:
    """The places of `question` in the version's copies of the documents, `NOWHERE` for one that is not there: it is
    looked for, and never found.
    """
    return tuple(_there(index, place, text_of(place.source)) for place in question.places)


def _there(index: Index, place: Relevant, text: str) -> Relevant:
    """Where the words at `place` of the document as it is now stand in the version's."""
    words = text[place.begin : place.end]
    try:
        begin = index.text(place.source).find(words)
    except RequestError:  # it has no such document
        return NOWHERE
    return Relevant(place.source, begin, begin + len(words)) if begin >= 0 else NOWHERE
