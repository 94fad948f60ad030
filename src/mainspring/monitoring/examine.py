"""One window of live rows against the reference: every test, then false-discovery control, as a `WindowReport`.

The rows of a window come in any number of batches, and each is forgotten after a look at it (`looks`). So a window of
any length takes little memory, and the report does not depend on where one batch ends and the next begins.

With fifty columns some p-value is small in every window. The level of each window's findings together is therefore
controlled after Benjamini & Hochberg (1995): of what is called significant, at most the share `monitor.significance`
is by chance.
"""

from __future__ import annotations

import msgspec
import numpy as np

from mainspring.monitoring.looks import Answers, Inputs, MakeLook, Performance
from mainspring.monitoring.observations import Finding, Rows, WindowReport
from mainspring.monitoring.profiles import Reference
from mainspring.schema import Schema
from mainspring.spec import MonitorSpec

LABELLED: tuple[MakeLook, ...] = (Performance,)  # for rows whose labels came later: these and the metric alone
EVERYTHING: tuple[MakeLook, ...] = (Inputs, Answers, *LABELLED)


def examine(
    reference: Reference,
    schema: Schema,
    rows: Rows,
    settings: MonitorSpec,
    version: str,
    looks: tuple[MakeLook, ...] = EVERYTHING,
) -> WindowReport:
    """Examine the window `rows`, answered by `version`, against that version's reference.

    Fewer rows than `settings.rows` are not judged: the report then has `enough` false, and no findings.
    """
    examination = Examination(reference, schema, settings, version, looks=looks)
    examination.add(rows)
    return examination.report()


class Examination:
    """One window of rows answered by `version`, batch by batch:

        examination = Examination(reference, schema, settings, version)
        for rows in batches:
            examination.add(rows)
        report = examination.report()

    `looks` are what is looked at; all by default. Fewer rows than `settings.rows` in all are not judged: the report
    then has `enough` false, and no findings.
    """

    def __init__(
        self,
        reference: Reference,
        schema: Schema,
        settings: MonitorSpec,
        version: str,
        *,
        looks: tuple[MakeLook, ...] = EVERYTHING,
    ) -> None:
        self._settings, self._version = settings, version
        self._looks = [look(reference, schema, settings) for look in looks]
        self._rows = self._labelled = self._start = self._end = 0

    def add(self, rows: Rows) -> None:
        """The next rows of the window."""
        if not len(rows):
            return
        first, last = int(rows.time.min()), int(rows.time.max())
        self._start = min(self._start, first) if self._rows else first
        self._end = max(self._end, last) if self._rows else last
        self._rows += len(rows)
        self._labelled += int((~np.isnan(rows.truth)).sum())
        for look in self._looks:
            look.add(rows)

    def report(self) -> WindowReport:
        """What was found in the rows so far."""
        enough = self._rows >= self._settings.rows
        findings = [finding for look in self._looks for finding in look.findings()] if enough else []
        return WindowReport(
            version=self._version,
            start=self._start,
            end=self._end,
            rows=self._rows,
            labelled=self._labelled,
            enough=enough,
            findings=judge(findings, self._settings),
        )


def judge(findings: list[Finding], settings: MonitorSpec) -> list[Finding]:
    """The findings of one window with `significant` and `deviates` decided."""
    significant = benjamini_hochberg([finding.p_value for finding in findings], settings.significance)
    return [
        msgspec.structs.replace(
            finding,
            significant=bool(is_significant),
            deviates=bool(
                is_significant
                and finding.effect >= settings.effect
                and finding.rows >= settings.rows
                and finding.name not in settings.ignore
            ),
        )
        for finding, is_significant in zip(findings, significant, strict=True)
    ]


def benjamini_hochberg(p_values: list[float], rate: float) -> np.ndarray:
    """Which of n hypotheses are rejected at this false-discovery rate: (n,) bool.

    >>> benjamini_hochberg([0.001, 0.8, 0.03, 0.02], 0.05).tolist()
    [True, False, True, True]
    """
    ordered = np.sort(p_values)
    passes = np.flatnonzero(ordered <= rate * np.arange(1, len(ordered) + 1) / max(1, len(ordered)))
    limit = ordered[passes[-1]] if len(passes) else -1.0
    return np.asarray(p_values) <= limit
