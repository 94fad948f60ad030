"""How a version of a collection does on questions, as it is served.

The places of the questions are those in the documents as they are now. In the version's copy of a document a place is
where the same words stand. A place whose words it does not have, it cannot find: it is out of date there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mainspring.data.documents.questions import Question, Relevant
from mainspring.errors import RequestError
from mainspring.evaluation.retrieval import Judged, judge
from mainspring.lifecycle.engines import engine_of
from mainspring.registry.versions import Version
from mainspring.runtimes.index.index import Index
from mainspring.spec import Project
from mainspring.tasks import retrieval
from mainspring.tasks.retrieval import Asked

INDEX = "index"


@dataclass(frozen=True, eq=False)
class Served:
    """The scores of n questions, each with the first passages it found; `outdated` have a place that is not there."""

    asked: Asked
    scores: Judged
    outdated: int


def served(project: Project, version: Version, questions: Sequence[Question], text_of: Callable[[str], str]) -> Served:
    """Ask a version.

    Args:
        project: the project.
        version: its files are verified.
        questions: those that the documents answer.
        text_of: the text of a document as it is now, of which the questions' places are.

    Raises:
        MainspringError: it cannot be asked.
        DataError: there is no question.
    """
    version.verify()
    index = Index.load(version.folder / INDEX)
    try:
        asked = asyncio.run(_asked(project, version, index, questions))
        found = retrieval.search(index, asked, index.settings.dense_weight)
        mapped = [[_there(index, place, text_of(place.source)) for place in one.places] for one in questions]
        # A place that is not there is put where nothing is: it is looked for, and never found.
        places = [[place or Relevant("", 0, 0) for place in each] for each in mapped]
        scores = judge([[one.passage for one in each] for each in found], places)
        return Served(asked, scores, sum(None in each for each in mapped))
    finally:
        index.close()


async def _asked(project: Project, version: Version, index: Index, questions: Sequence[Question]) -> Asked:
    engine = await engine_of(project.state, version)
    try:
        return await retrieval.ask(engine, index.settings.embedder, questions)
    finally:
        await engine.close()


def _there(index: Index, place: Relevant, text: str) -> Relevant | None:
    """Where the words at `place` of the document as it is now stand in the version's."""
    words = text[place.begin : place.end]
    try:
        begin = index.text(place.source).find(words)
    except RequestError:  # it has no such document
        return None
    return Relevant(place.source, begin, begin + len(words)) if begin >= 0 else None
