"""What a language model of the project thinks of an assistant's answers: shown beside the figures by rule, no more."""

from __future__ import annotations

import numpy as np

from mainspring.data.documents.questions import clusters_of
from mainspring.errors import SpecError
from mainspring.evaluation.assistants import Replies
from mainspring.evaluation.judge import judge
from mainspring.evaluation.scores import mean_of_groups
from mainspring.lifecycle.assistant_report import Opinion
from mainspring.lifecycle.champions import champion_of
from mainspring.lifecycle.engines import engine_of
from mainspring.spec import Project


def check_judge(project: Project, model: str) -> None:
    """Raises:
    SpecError: it is no chat model of the project.
    RegistryError: it has no champion.
    """
    if project.language(model).task != "chat":
        raise SpecError(f"{model} cannot judge: expected a chat model")
    champion_of(project, model)


async def opinion(project: Project, model: str, replies: Replies) -> Opinion:
    """That of the champion of the chat model called `model`, of those of `replies` that are answers.

    Raises:
        RegistryError: it has no champion.
    """
    given = [(one, one.answer) for one in replies.replies if one.answer is not None]
    asked = [(one.question.text, answer.text, [each.quote for each in answer.citations]) for one, answer in given]
    engine = await engine_of(project.state, version := champion_of(project, model))
    try:
        found = await judge(engine, asked)
    finally:
        await engine.close()
    verdicts = [(one, verdict) for (one, _), verdict in zip(given, found.verdicts, strict=True) if verdict is not None]
    same = np.array([verdict["supported"] == replies.supported(one) for one, verdict in verdicts], np.float64)
    groups = clusters_of(one.question for one, _ in verdicts)
    return Opinion(
        judge=f"{model} version {version.name}",
        judged=len(verdicts),
        supported=None if found.supported is None else found.supported.as_dict(),
        answers=None if found.answers is None else found.answers.as_dict(),
        agreement=mean_of_groups(same, groups).as_dict() if verdicts else None,
        failed=list(found.failed),
    )
