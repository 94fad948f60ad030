"""Judge a published version on the data as it is now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mainspring.data import dataset as data
from mainspring.errors import DataError
from mainspring.lifecycle import judge
from mainspring.registry import desired, versions
from mainspring.registry.versions import REPORT_PAGE, Version
from mainspring.spec import Project


@dataclass(frozen=True)
class Evaluation:
    """Scores with intervals on rows that the version was not fitted on, and the comparison with the champion. `of`:
    what the rows are.
    """

    model: str
    version: str
    champion: str | None
    metric: str
    rows: int
    metrics: dict[str, dict[str, Any]]
    verdict: dict[str, Any] | None
    report: str
    of: str = "rows"


def chosen_version(project: Project, model: str, version: str | None) -> tuple[Version, str | None]:
    """`version`, or the champion, or the newest version where there is no champion, verified; and which is champion.

    Raises:
        RegistryError: there is none.
    """
    champion = desired.read(project.state).champion(model)
    found = versions.chosen(project.state, model, version, champion)
    found.verify()
    return found, champion


def evaluate(project: Project, model: str, version: str | None = None) -> Evaluation:
    """Evaluate `version`, or the champion, or the newest version where there is no champion.

    The rows are those of today's data that the version's own split holds out; in data that grew, the newer rows too.

    Raises:
        RegistryError: there is nothing to evaluate.
        DataError: the data no longer fits the version, or holds no row that it was not fitted on.
    """
    if model in project.prompts:
        from mainspring.lifecycle import prompt_evaluation

        return prompt_evaluation.evaluate(project, model, version)
    if model in project.retrievals:
        from mainspring.lifecycle import retrieval_evaluation

        return retrieval_evaluation.evaluate(project, model, version)
    project.table(model)
    found, champion = chosen_version(project, model, version)
    served = judge.Served.load(found)
    everything = data.load(project, model)
    holdout = everything.take(served.split.is_holdout(everything.table))
    if not len(holdout):
        every = f"version {found.name} of {model} was fitted on every row there is"
        raise DataError(f"{every}: no row is left to judge it by")
    predictions = served.predict(holdout)
    metric = found.manifest.metric
    verdict = None
    if champion and champion != found.name:
        verdict = judge.against_champion(project, model, champion, holdout, predictions, metric)
    scores = judge.scores(holdout, predictions)
    return Evaluation(
        model=model,
        version=found.name,
        champion=champion,
        metric=metric,
        rows=len(holdout),
        metrics={name: estimate.as_dict() for name, estimate in scores.items()},
        verdict=verdict,
        report=str(found.folder / REPORT_PAGE),
    )
