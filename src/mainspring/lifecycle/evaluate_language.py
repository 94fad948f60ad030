"""What is known of a version of a language model: what its fit measured, and why it is computed as it is.

That is not computed anew: the weights do not change, and neither do the texts that they are judged on. What a chat
model with knowledge answers does change, with its documents and with the questions about them, so that it is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from mainspring.errors import DataError, RegistryError, SpecError, require
from mainspring.lifecycle import language_report
from mainspring.lifecycle.language_report import LanguageReport
from mainspring.registry import desired, versions
from mainspring.registry.versions import REPORT_PAGE, Manifest, Version
from mainspring.spec import ChatSpec, Project


@dataclass(frozen=True)
class LanguageEvaluation:
    """`metrics` maps each figure to `{"value", "low", "high", "method"}`, `limits` some of them to what is allowed.

    `why` is a sentence that also says where nothing was measured; `page` is None of a version that was made before
    there were pages. `verdict` is that of the fit, or of answers that were compared anew.
    """

    manifest: Manifest
    report: LanguageReport
    champion: str | None
    limits: dict[str, str]
    why: str
    page: str | None
    metrics: dict[str, dict[str, Any]]
    verdict: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        manifest = self.manifest
        return {
            "model": manifest.model,
            "version": manifest.version,
            "champion": self.champion,
            "task": manifest.task,
            "metric": manifest.metric,
            "metrics": self.metrics,
            "limits": self.limits,
            "why": self.why,
            **msgspec.to_builtins(self.report),
            "engine": manifest.parameters["engine"],
            "engine_why": manifest.parameters.get("why"),
            "verdict": self.verdict,
            "report": self.page,
        }


def evaluate(
    project: Project,
    model: str,
    version: str | None = None,
    *,
    questions: int | None = None,
    judge: str | None = None,
    say: Callable[[str], None] = lambda what: None,
) -> LanguageEvaluation:
    """Tell of `version`, or the champion, or the newest version where there is no champion.

    Args:
        project: the project.
        model: the language model. One with knowledge is asked its collection's questions, as they are now.
        version: which one.
        questions: how many it is asked at most; None is as many as a fit does.
        judge: a chat model of the project that says what it thinks of the answers; it decides nothing.
        say: is told how it goes along.

    Raises:
        SpecError: `questions` or `judge` is given for a model that is not asked.
        RegistryError: there is none, or its report is damaged.
        MainspringError: it cannot be asked.
    """
    spec = project.language(model)
    knows = isinstance(spec, ChatSpec) and spec.collection is not None
    if not knows and (questions is not None or judge is not None):
        raise SpecError(
            f"{model} answers from no documents of this project: questions and a judge are for a model that does"
        )
    champion = desired.read(project.state).champion(model)
    found = versions.chosen(project.state, model, version, champion)
    report = language_report.read(found)
    told = LanguageEvaluation(
        manifest=found.manifest,
        report=report,
        champion=champion,
        limits={name: str(limit) for name in found.manifest.metrics if (limit := language_report.limit_of(name))},
        why=language_report.why(found.manifest, report),
        page=str(found.folder / REPORT_PAGE) if REPORT_PAGE in found.manifest.files else None,
        metrics=found.manifest.metrics,
        verdict=found.manifest.verdict,
    )
    return _asked(project, told, found, questions, judge, say) if knows else told


def _asked(
    project: Project,
    told: LanguageEvaluation,
    version: Version,
    number: int | None,
    judge: str | None,
    say: Callable[[str], None],
) -> LanguageEvaluation:
    """With what it answers now."""
    require("faiss", "retrieval")
    require("scipy", "retrieval")
    from mainspring.lifecycle import assistant_questions, language_verdict
    from mainspring.lifecycle.assistant_opinion import check_judge, opinion

    model = version.manifest.model
    if judge is not None:
        check_judge(project, judge)  # before minutes of answers
    questions = assistant_questions.load(project, model, number)
    if isinstance(questions, str):
        if number is not None or judge is not None:
            raise RegistryError(questions)
        return replace(told, why=f"{told.why} Its answers were not judged: {questions}.")
    say(f"answering {len(questions):,} questions")
    try:
        now = language_verdict.ask_version(project, questions, version, say)
    except DataError as error:
        if number is not None or judge is not None:
            raise
        return replace(told, why=f"{told.why} Its answers were not judged: {error}.")
    verdict = told.verdict
    spec = project.language(model)
    assert isinstance(spec, ChatSpec)
    if told.champion is not None and told.champion != version.name and spec.data is None:
        verdict = language_verdict.against(project, model, told.champion, questions, now, say)
    assistant = now.report
    if judge is not None:
        say(f"{judge} judges the answers")
        assert assistant is not None
        assert now.replies is not None
        assistant = msgspec.structs.replace(assistant, opinion=asyncio.run(opinion(project, judge, now.replies)))
    report = msgspec.structs.replace(told.report, questions=len(questions), assistant=assistant)
    return replace(told, report=report, metrics={**told.metrics, **now.metrics}, verdict=verdict)
