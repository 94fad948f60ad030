"""What is known of a version of a language model: what its fit measured, and why it is computed as it is.

Nothing is computed anew: the weights do not change, and neither do the texts that they are judged on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from mainspring.lifecycle import language_report
from mainspring.lifecycle.language_report import LanguageReport
from mainspring.registry import desired, versions
from mainspring.registry.versions import REPORT_PAGE, Manifest
from mainspring.spec import Project


@dataclass(frozen=True)
class LanguageEvaluation:
    """`metrics` maps each figure to `{"value", "low", "high", "method"}`, `limits` some of them to what is allowed.

    `why` is a sentence that also says where nothing was measured; `page` is None of a version that was made before
    there were pages.
    """

    manifest: Manifest
    report: LanguageReport
    champion: str | None
    limits: dict[str, str]
    why: str
    page: str | None

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        manifest = self.manifest
        return {
            "model": manifest.model,
            "version": manifest.version,
            "champion": self.champion,
            "task": manifest.task,
            "metric": manifest.metric,
            "metrics": manifest.metrics,
            "limits": self.limits,
            "why": self.why,
            **msgspec.to_builtins(self.report),
            "engine": manifest.parameters["engine"],
            "engine_why": manifest.parameters.get("why"),
            "verdict": manifest.verdict,
            "report": self.page,
        }


def evaluate(project: Project, model: str, version: str | None = None) -> LanguageEvaluation:
    """Tell of `version`, or the champion, or the newest version where there is no champion.

    Raises:
        RegistryError: there is none, or its report is damaged.
    """
    project.language(model)
    champion = desired.read(project.state).champion(model)
    found = versions.chosen(project.state, model, version, champion)
    report = language_report.read(found)
    limits = {name: language_report.limit_of(name) for name in found.manifest.metrics}
    return LanguageEvaluation(
        manifest=found.manifest,
        report=report,
        champion=champion,
        limits={name: str(limit) for name, limit in limits.items() if limit},
        why=language_report.why(found.manifest, report),
        page=str(found.folder / REPORT_PAGE) if REPORT_PAGE in found.manifest.files else None,
    )
