"""How the champion of a collection does on the questions that a new version is judged by.

The places of the questions are those in the documents as they are now. In the champion's copy of a document a place is
where the same words stand. A place whose words it does not have, it cannot find: it is out of date there.
"""

from __future__ import annotations

import asyncio

import numpy as np

from mainspring.data.documents.questions import Relevant
from mainspring.errors import MainspringError, RequestError
from mainspring.evaluation.retrieval import judge
from mainspring.lifecycle.engines import engine_of
from mainspring.lifecycle.retrieval_verdict import Scored
from mainspring.registry import versions
from mainspring.runtimes.index.identity import Embedder
from mainspring.runtimes.index.index import Index
from mainspring.spec import Project
from mainspring.tasks import retrieval
from mainspring.tasks.retrieval import Asked

INDEX = "index"


def judged_champion(project: Project, model: str, champion: str, new: Index, asked: Asked, metric: str) -> Scored | str:
    """The champion's scores, as it is served; or why there are none, in words.

    Args:
        project: the project.
        model: the collection.
        champion: its version.
        new: the index of the documents as they are now.
        asked: the questions, with their vectors by the embedder of `new`.
        metric: of the spec.
    """
    try:
        version = versions.load(project.state, model, champion)
        version.verify()
        index = Index.load(version.folder / INDEX)
    except MainspringError as error:
        return str(error)
    try:
        embedder = index.settings.embedder
        if embedder != new.settings.embedder:
            asked = asyncio.run(_asked_by(project, version, embedder, asked))
        found = retrieval.search(index, asked, index.settings.dense_weight)
        scores = np.zeros(len(asked))
        places = [_places(new, index, question.places) for question in asked.questions]
        there = [at for at, each in enumerate(places) if each]
        if there:
            passages = [[one.passage for one in found[at]] for at in there]
            scores[there] = judge(passages, [places[at] for at in there]).of(metric)
        return Scored(f"version {champion}", metric, scores)
    except MainspringError as error:
        return str(error)
    finally:
        index.close()


async def _asked_by(project: Project, version: versions.Version, embedder: Embedder, asked: Asked) -> Asked:
    engine = await engine_of(project.state, version)
    try:
        return await retrieval.ask(engine, embedder, asked.questions)
    finally:
        await engine.close()


def _places(new: Index, old: Index, places: tuple[Relevant, ...]) -> list[Relevant]:
    """Where the words at `places` of the new documents stand in the old ones."""
    found = []
    for place in places:
        words = new.text(place.source)[place.begin : place.end]
        try:
            begin = old.text(place.source).find(words)
        except RequestError:  # it has no such document
            continue
        if begin >= 0:
            found.append(Relevant(place.source, begin, begin + len(words)))
    return found
