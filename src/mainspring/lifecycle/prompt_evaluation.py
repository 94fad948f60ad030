"""Judge a version of a prompt program on the questions as they are now, and on live answers whose truth has come."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import numpy as np

from mainspring.data.splits import Split
from mainspring.errors import DataError
from mainspring.evaluation.scores import mean_score
from mainspring.lifecycle import champions, judge, questions
from mainspring.lifecycle.evaluate import Evaluation, chosen_version
from mainspring.lifecycle.prompt_champion import judged_champion, load_prompt
from mainspring.lifecycle.prompt_log import ProgramLog
from mainspring.lifecycle.prompt_verdict import Judgement, against_champion
from mainspring.lifecycle.questions import Questions
from mainspring.monitoring.answers import SCORE
from mainspring.prompts import Prompt, fitting
from mainspring.prompts.metrics import METRICS
from mainspring.prompts.records import Uses
from mainspring.registry.versions import REPORT_PAGE, Version
from mainspring.spec import Project


def evaluate(project: Project, model: str, version: str | None = None) -> Evaluation:
    """As `evaluate.evaluate`. The metrics are the score, tokens and calls for a question, and the live score if any.

    Raises:
        RegistryError: there is nothing to evaluate, or a model that is asked has no champion.
        DataError: the data no longer fits the version, or holds no question that it was not fitted on.
    """
    found, champion = chosen_version(project, model, version)
    prompt = load_prompt(found)
    everything = questions.load(project, model, prompt)
    split = msgspec.convert(found.manifest.lineage.split, Split)
    held = everything.take(split.is_holdout(everything.dataset.table))
    if not len(held):
        raise DataError(f"version {found.name} of {model} was fitted on every question there is: none is left")
    judgement, verdict = asyncio.run(_judge(project, found, prompt, held, champion))
    metrics = {name: estimate.as_dict() for name, estimate in judgement.estimates().items()}
    return Evaluation(
        model=model,
        version=found.name,
        champion=champion,
        metric=found.manifest.metric,
        rows=len(held),
        metrics={**metrics, **_live(project, found)},
        verdict=verdict,
        report=str(found.folder / REPORT_PAGE),
    )


async def _judge(
    project: Project, found: Version, prompt: Prompt, held: Questions, champion: str | None
) -> tuple[Judgement, dict[str, Any] | None]:
    """How it does, and the verdict against the champion, if that is another."""
    model, name = found.manifest.model, found.manifest.metric
    uses = Uses.of(found.manifest.parameters).by(prompt)
    async with champions.opened(project, remember=True) as opened:
        asked = await opened.language_model(uses)
        judged = await fitting.judge(prompt, held.asked, METRICS[name], asked)
        judgement = Judgement(f"version {found.name}", name, judged, judge.clusters(held.dataset))
        if champion is None or champion == found.name:
            return judgement, None
        rival = await judged_champion(project, model, champion, held, name, opened, uses)
        return judgement, against_champion(champion, rival, judgement, project.prompt(model).gate)


def _live(project: Project, found: Version) -> dict[str, dict[str, Any]]:
    """The score of this version's live answers, where at least two true ones have been told, and none is private."""
    scores = ProgramLog(project, found).read().rows.columns[SCORE]
    scores = scores[~np.isnan(scores)]
    if len(scores) < 2:
        return {}
    return {f"{found.manifest.metric} of {len(scores):,} live answers": mean_score(scores).as_dict()}
