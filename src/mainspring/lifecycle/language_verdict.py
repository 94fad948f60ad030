"""Is a version of a language model better than the champion? Both answer the same questions, one after the other.

The questions are those of its `data`, with known answers; or, of a chat model with knowledge, those of its collection,
with known places. The scores are compared in pairs, and the gate decides as it does for every model. Without questions
nobody has shown it, and the verdict is left to people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mainspring.errors import DataError, MainspringError
from mainspring.lifecycle.engines import engine_of, open_files
from mainspring.lifecycle.knowledge import assistant
from mainspring.prompts.knowledge import Knowledge
from mainspring.registry import desired, versions
from mainspring.registry.versions import Version
from mainspring.runtimes.language.protocol import Engine
from mainspring.spec import GateSpec, Project
from mainspring.tasks.built import Built

if TYPE_CHECKING:
    from mainspring.lifecycle.assistant_questions import AssistantQuestions
    from mainspring.lifecycle.assistant_report import AssistantReport
    from mainspring.lifecycle.language_answers import Answers
    from mainspring.lifecycle.language_questions import Questions

Asked: TypeAlias = "Questions | AssistantQuestions"
Say: TypeAlias = Callable[[str], None]
Opened: TypeAlias = Callable[[], Awaitable[Engine]]


@dataclass(frozen=True)
class Judged:
    """The verdict, and where there are questions the scores on them: `{metric: {"value", "low", "high", "method"}}`."""

    verdict: dict[str, Any]
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    report: AssistantReport | None = None


def unjudged(project: Project, model: str, built: Built, why: str) -> Judged:
    """The first version is let in on its parity; that a later one is better, nobody has shown, and `why` not."""
    champion = desired.read(project.state).champion(model)
    if champion is None:
        return Judged(_first(f"the first version; {built.evidence}"))
    return Judged(
        _undecided(
            champion,
            f"{built.evidence}; {why}, so whether its answers are better than version {champion}'s is for you to say: "
            f"mainspring promote {model} VERSION",
        )
    )


def judge(project: Project, model: str, built: Built, staged: Path, questions: Asked, say: Say) -> Judged:
    """Ask the version whose files lie in `staged`, and then the champion.

    A champion that cannot be asked cannot be compared with, so that the verdict is left to people.

    Raises:
        MainspringError: the new version cannot be asked.
    """
    say(f"answering {len(questions):,} questions")
    state = project.state
    asked = _ask(questions, state, staged, built.parameters, lambda: open_files(staged, built.parameters), say)
    found = asyncio.run(asked)
    told = Judged({}, found.metrics, found.report)
    champion = desired.read(state).champion(model)
    if champion is None:
        value = f"{questions.metric} {found.scores.mean():.4f} on {len(found.scores):,} questions"
        return replace(told, verdict=_first(f"the first version; {built.evidence}; {value}"))
    return replace(told, verdict=against(project, model, champion, questions, found, say))


def against(
    project: Project, model: str, champion: str, questions: Asked, challenger: Answers, say: Say
) -> dict[str, Any]:
    """The gate's verdict, once the champion has answered what the challenger has; where it cannot, that it cannot."""
    say(f"asking version {champion} the same")
    try:
        before = ask_version(project, questions, versions.load(project.state, model, champion), say)
        verdict = _compared(questions.metric, before, challenger, project.language(model).gate)
    except MainspringError as error:
        return _undecided(champion, f"the champion, version {champion}, cannot be compared: {error}")
    return {**verdict, "against": f"version {champion}"}


def ask_version(project: Project, questions: Asked, version: Version, say: Say) -> Answers:
    """What a published version answers.

    Raises:
        MainspringError: it cannot be asked.
    """
    state, parameters = project.state, version.manifest.parameters
    return asyncio.run(_ask(questions, state, version.folder, parameters, lambda: engine_of(state, version), say))


def _compared(metric: str, champion: Answers, challenger: Answers, spec: GateSpec) -> dict[str, Any]:
    """The gate's verdict on both.

    Raises:
        DataError: there are too few questions to compare anything.
    """
    from mainspring.evaluation import gate
    from mainspring.evaluation.scores import compare_scores

    found = compare_scores(
        metric,
        champion=champion.scores,
        challenger=challenger.scores,
        clusters=challenger.groups,
        margin=spec.margin,
        significance=spec.significance,
    )
    return gate.decide(found).as_dict()


async def _ask(
    questions: Asked, state: Path, folder: Path, parameters: Mapping[str, Any], opened: Opened, say: Say
) -> Answers:
    """What the engine that `opened` gives answers, with what it knows; it is let go of, so that the next one has the
    memory.

    Raises:
        DataError: the questions are about a collection that it does not answer from.
    """
    knowledge = Knowledge.of(parameters)
    if questions.collection is not None and (knowledge is None or knowledge.model != questions.collection):
        raise DataError(f"it does not answer from {questions.collection}, which the questions are about")
    engine: Engine = await opened()
    try:
        if knowledge is None:
            return await questions.ask(engine, None, say)
        knows = await assistant(state, folder, knowledge, engine)
        try:
            return await questions.ask(engine, knows, say)
        finally:
            await knows.close()
    finally:
        await engine.close()


def _first(reason: str) -> dict[str, Any]:
    return {"decision": "promote", "reason": reason, "against": "baseline"}


def _undecided(champion: str, reason: str) -> dict[str, Any]:
    return {
        "decision": "insufficient evidence",
        "reason": reason,
        "comparison": None,
        "against": f"version {champion}",
    }
