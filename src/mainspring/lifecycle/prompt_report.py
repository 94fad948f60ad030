"""The report of a prompt program's version: every number that backs it, as JSON. `prompt_page` draws it."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.registry.versions import Manifest


class PromptReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything. `prompt` is the version's file; `uses` are the models that it was fitted with, and their versions.

    `trials` are those of the search on training questions: `candidate`, `strategy`, `questions` seen, and for each of
    these in the mean `score`, `tokens`, `calls`. `held_out` are those who answered the held-out questions: `who`, how
    many `questions`, `metrics` with intervals. `verdict` decides on promotion; `selection` is the one on the winner and
    the prompt as written, None where they are the same.
    """

    project: str
    model: str
    version: str
    task: str
    created: str
    target: str
    metric: str
    candidate: str
    prompt: str
    uses: dict[str, str]
    rows: int
    fit_rows: int
    holdout_rows: int
    split: str
    notes: list[str]
    trials: list[dict[str, Any]]
    held_out: list[dict[str, Any]]
    verdict: dict[str, Any]
    selection: dict[str, Any] | None
    seconds: float

    @classmethod
    def of(cls, manifest: Manifest, **found: Any) -> PromptReport:
        """That of a version that is about to be published, with what its manifest does not say."""
        lineage = manifest.lineage
        return cls(
            project=manifest.project,
            model=manifest.model,
            version=manifest.version,
            task=manifest.task,
            created=manifest.created,
            target=manifest.schema.target.name,
            metric=manifest.metric,
            candidate=manifest.candidate,
            uses=lineage.uses,
            rows=lineage.rows,
            fit_rows=lineage.fit_rows,
            holdout_rows=lineage.holdout_rows,
            split=lineage.split["method"],
            verdict=manifest.verdict,
            **found,
        )
