"""One window of live rows against the reference: every test, then false-discovery control, as a `WindowReport`.

With fifty columns some p-value is small in every window. The level of each window's findings together is therefore
controlled after Benjamini & Hochberg (1995): of what is called significant, at most the share `monitor.significance`
is by chance.
"""

from __future__ import annotations

import msgspec
import numpy as np

from mainspring.evaluation.metrics import Predictions
from mainspring.monitoring.drift import examine_column
from mainspring.monitoring.multivariate import domain_finding
from mainspring.monitoring.observations import Finding, Rows, WindowReport
from mainspring.monitoring.performance import as_predictions, estimated_finding, measured_finding
from mainspring.monitoring.profiles import Profile, Reference, output_columns, truth_column
from mainspring.monitoring.tallies import watched
from mainspring.schema import Kind, Schema
from mainspring.spec import MonitorSpec


def examine(reference: Reference, schema: Schema, rows: Rows, settings: MonitorSpec, version: str) -> WindowReport:
    """Examine the window `rows`, answered by `version`, against that version's reference.

    Fewer rows than `settings.rows` are not judged: the report then has `enough` false, and no findings.
    """
    findings: list[Finding] = []
    if len(rows) >= settings.rows:
        findings = [*_inputs(reference, schema, rows, settings), *_outputs(reference.profile, schema, rows)]
        findings += _performance(reference.profile, schema, rows, settings)
    return _report(rows, findings, settings, version)


def examine_labelled(
    reference: Reference, schema: Schema, rows: Rows, settings: MonitorSpec, version: str
) -> WindowReport:
    """As `examine`, of the labels and the measured performance alone: for rows whose labels came later."""
    findings = []
    if len(rows) >= settings.rows:
        findings = _performance(reference.profile, schema, rows, settings)
    return _report(rows, findings, settings, version)


def _report(rows: Rows, findings: list[Finding], settings: MonitorSpec, version: str) -> WindowReport:
    return WindowReport(
        version=version,
        start=int(rows.time.min()) if len(rows) else 0,
        end=int(rows.time.max()) if len(rows) else 0,
        rows=len(rows),
        labelled=int((~np.isnan(rows.truth)).sum()),
        enough=len(rows) >= settings.rows,
        findings=judge(findings, settings),
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


def _inputs(reference: Reference, schema: Schema, rows: Rows, settings: MonitorSpec) -> list[Finding]:
    profile = reference.profile
    findings = []
    for column in schema.features:
        known = profile.inputs[column.name]
        values = watched(rows.columns[column.name], column.kind)
        findings += examine_column(column.name, values, known, column.kind, matters=known.importance)
    together = domain_finding(reference.sample, rows.columns, schema, profile, ignore=settings.ignore)
    return findings if together is None else [*findings, together]


def _outputs(profile: Profile, schema: Schema, rows: Rows) -> list[Finding]:
    findings = []
    for name, values in output_columns(rows.outputs, schema).items():
        kind: Kind = "category" if values.dtype == object else "number"
        findings += examine_column(name, values, profile.outputs[name], kind, "prediction", matters=1.0)
    return findings


def _performance(profile: Profile, schema: Schema, rows: Rows, settings: MonitorSpec) -> list[Finding]:
    """Measured where there are labels enough, with the labels' own distribution; estimated where not."""
    labelled = np.flatnonzero(~np.isnan(rows.truth))
    predictions = as_predictions(rows.outputs, schema)
    if len(labelled) < settings.rows:
        estimated = estimated_finding(profile.skill, predictions) if profile.skill else None
        return [estimated] if estimated else []
    truth = rows.truth[labelled]
    kind: Kind = "category" if schema.target.labels else "number"
    name = schema.target.name
    findings = examine_column(name, truth_column(truth, schema), profile.target, kind, "label", matters=1.0)
    probabilities = predictions.probabilities
    of_labelled = Predictions(predictions.values[labelled], None if probabilities is None else probabilities[labelled])
    measured = measured_finding(profile.skill, truth, of_labelled) if profile.skill else None
    return [*findings, measured] if measured else findings
