"""Is a version of a language model better than the champion? Both answer the same questions, one after the other.

Their scores are compared in pairs, and the gate decides as it does for every model. Without questions nobody has shown
it, and the verdict is left to people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainspring.errors import MainspringError
from mainspring.lifecycle.engines import engine_of, open_files
from mainspring.lifecycle.knowledge import assistant
from mainspring.prompts.knowledge import Knowledge
from mainspring.registry import desired, versions
from mainspring.runtimes.language.protocol import Engine
from mainspring.spec import Project
from mainspring.tasks.built import Built

if TYPE_CHECKING:
    import numpy as np

    from mainspring.lifecycle.language_questions import Questions


@dataclass(frozen=True)
class Judged:
    """The verdict, and where there are questions the score on them: `{metric: {"value", "low", "high", "method"}}`."""

    verdict: dict[str, Any]
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)


def unjudged(project: Project, model: str, built: Built) -> Judged:
    """The first version is let in on its parity; that a later one is better, nobody has shown."""
    champion = desired.read(project.state).champion(model)
    if champion is None:
        return Judged(_first(f"the first version; {built.evidence}"))
    return Judged(
        _undecided(
            champion,
            f"{built.evidence}; there are no questions to judge by (`data` and `target`), so whether its answers are "
            f"better than version {champion}'s is for you to say: mainspring promote {model} VERSION",
        )
    )


def judge(
    project: Project, model: str, built: Built, staged: Path, questions: Questions, say: Callable[[str], None]
) -> Judged:
    """Ask the version whose files lie in `staged`, and then the champion.

    A champion that cannot be asked cannot be compared with, so that the verdict is left to people.

    Raises:
        MainspringError: the new version cannot be asked.
    """
    from mainspring.evaluation import gate
    from mainspring.evaluation.scores import compare_scores, mean_score

    say(f"answering {len(questions):,} questions")
    state = project.state
    new = _ask(
        questions, state, staged, built.parameters, lambda: asyncio.to_thread(open_files, staged, built.parameters)
    )
    scores = asyncio.run(new)
    found = mean_score(scores)
    metrics = {questions.metric: found.as_dict()}
    champion = desired.read(project.state).champion(model)
    if champion is None:
        told = f"{questions.metric} {found.value:.4f} on {len(questions):,} questions"
        return Judged(_first(f"the first version; {built.evidence}; {told}"), metrics)
    say(f"asking version {champion} the same")
    try:
        live = versions.load(state, model, champion)
        old = _ask(questions, state, live.folder, live.manifest.parameters, lambda: engine_of(state, live))
        before = asyncio.run(old)
        spec = project.language(model).gate
        compared = compare_scores(
            questions.metric, champion=before, challenger=scores, margin=spec.margin, significance=spec.significance
        )
    except MainspringError as error:
        return Judged(_undecided(champion, f"the champion, version {champion}, cannot be compared: {error}"), metrics)
    return Judged({**gate.decide(compared).as_dict(), "against": f"version {champion}"}, metrics)


async def _ask(
    questions: Questions, state: Path, folder: Path, parameters: Mapping[str, Any], opened: Callable[[], Any]
) -> np.ndarray:
    """The scores of the engine that `opened` gives, with what it knows; it is let go of, so that the next one has the
    memory.
    """
    engine: Engine = await opened()
    try:
        knowledge = Knowledge.of(parameters)
        if knowledge is None:
            return await questions.scores(engine)
        knows = await assistant(state, folder, knowledge, engine)
        try:
            return await questions.scores(knows.engine())
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
