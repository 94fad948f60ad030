"""A published version of a collection, judged on the questions and documents as they are now."""

from __future__ import annotations

import asyncio

from mainspring.data.documents.collection import collect
from mainspring.data.documents.questions import resolve
from mainspring.errors import DataError
from mainspring.evaluation import gate
from mainspring.evaluation.retrieval import compare_judged
from mainspring.lifecycle import retrieval_questions
from mainspring.lifecycle.evaluate import Evaluation, chosen_version
from mainspring.lifecycle.retrieval_served import served
from mainspring.registry import versions
from mainspring.registry.versions import REPORT_PAGE
from mainspring.spec import Project
from mainspring.tasks.retrieval import METRICS


def evaluate(project: Project, model: str, version: str | None = None) -> Evaluation:
    """As `evaluate.evaluate`, on the questions that the version was not tuned on.

    Raises:
        RegistryError: there is nothing to evaluate.
        DataError: there are no questions to judge by.
    """
    found, champion = chosen_version(project, model, version)
    spec = project.retrieval(model)
    if spec.questions is None:
        raise DataError(f"{model} has no questions to be judged by: `questions` in [models.{model}] names them")
    documents = retrieval_questions.Documents(collect(project, model))
    resolved = resolve(retrieval_questions.written(project, model), documents).questions
    questions = tuple(one for one in retrieval_questions.held_out(resolved, found) if one.places)
    if not questions:
        raise DataError(f"version {found.name} of {model} was tuned on every question there is: none is left")

    def text_of(source: str) -> str:
        return documents[source].text

    now = asyncio.run(served(project, found, questions, text_of))
    verdict = None
    if champion and champion != found.name:
        live = versions.load(project.state, model, champion)
        before = asyncio.run(served(project, live, questions, text_of))
        compared = compare_judged(
            spec.metric,
            champion=before.scores,
            challenger=now.scores,
            clusters=now.asked.clusters,
            margin=spec.gate.margin,
            significance=spec.gate.significance,
        )
        verdict = gate.decide(compared).as_dict()
    metrics = {METRICS[name]: one.as_dict() for name, one in now.scores.estimates(now.asked.clusters).items()}
    return Evaluation(
        model=model,
        version=found.name,
        champion=champion,
        metric=METRICS[spec.metric],
        rows=len(questions),
        metrics=metrics,
        verdict=verdict,
        report=str(found.folder / REPORT_PAGE),
        of="questions",
    )
