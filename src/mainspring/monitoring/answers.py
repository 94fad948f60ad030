"""What is watched of a prompt program beside its inputs: what it answered, what that took, and how right it was.

No probability comes with an answer, so that nothing is estimated without labels. Each labelled answer has a score from
0 to 1 by the program's metric, and their mean is what is measured.

Rows of a program have, beside the inputs, the columns `answer` (a category, a number, or a text, as the target is;
not there where answers are private), `answer.score` (NaN where no label has come), and `answer.tokens`.
"""

from __future__ import annotations

import numpy as np

from mainspring.monitoring.drift import counter, examine_column
from mainspring.monitoring.observations import Finding, Rows
from mainspring.monitoring.performance import Skill, measured_score, score_finding
from mainspring.monitoring.profiles import Profile, Reference, describe, inputs_of, sample_of, truth_column
from mainspring.monitoring.sampling import Sample
from mainspring.monitoring.tallies import watched
from mainspring.schema import MISSING_TEXT, Columns, Kind, Schema, Target
from mainspring.spec import MonitorSpec

ANSWER, SCORE, TOKENS = "answer", "answer.score", "answer.tokens"
_KINDS: dict[str, Kind] = {"answered": "boolean", "tokens": "number"}
_MOST_SCORES = 100_000


def build(
    schema: Schema,
    metric: str,
    *,
    fit: Columns,
    fit_truth: np.ndarray,
    answers: np.ndarray | None,
    tokens: np.ndarray,
    scores: np.ndarray,
    trivial: float,
    seed: int = 0,
) -> Reference:
    """The reference of a version of a program.

    Args:
        schema: what it takes and gives.
        metric: what "right" means.
        fit: the inputs of the n training questions.
        fit_truth: (n,) their right answers: codes into the schema's labels, numbers, or the lengths of texts.
        answers: (m,) what it answered to the held-out questions, as a row's `answer`; None where that is private.
        tokens: (m,) float64, what these answers took.
        scores: (m,) what they are worth.
        trivial: what the most frequent answer is worth on the same.
        seed: which rows are kept as the sample.
    """
    equal = dict.fromkeys(fit, 1.0)
    given = output_columns(answers, tokens, schema.target)
    profile = Profile(
        rows=len(fit_truth),
        inputs=inputs_of(schema, fit, equal),
        outputs={name: describe(values) for name, values in given.items()},
        target=describe(truth_column(fit_truth, schema)),
        skill=Skill(metric, measured_score(scores), trivial),
    )
    return Reference(profile, sample_of(schema, fit, len(fit_truth), seed))


def output_columns(answers: np.ndarray | None, tokens: np.ndarray, target: Target) -> Columns:
    """The outputs in the form in which they are watched: `answer`, whether there is one, and the tokens."""
    columns: Columns = {"tokens": tokens}
    if answers is not None:
        there = answers != MISSING_TEXT if answers.dtype == object else ~np.isnan(answers)
        columns[ANSWER] = watched(answers, _kind(target))
        columns["answered"] = watched(there.astype(np.float64), "boolean")
    return columns


class Told:
    """What was answered. A `Look` of rows of a program."""

    def __init__(self, reference: Reference, schema: Schema, settings: MonitorSpec) -> None:
        self._target, self._profiles = schema.target, reference.profile.outputs
        self._kinds = {**_KINDS, ANSWER: _kind(schema.target)}
        self._counters = {name: counter(profile, self._kinds[name]) for name, profile in self._profiles.items()}

    def add(self, rows: Rows) -> None:
        """See `Look`."""
        found = output_columns(rows.columns.get(ANSWER), rows.columns[TOKENS], self._target)
        for name in self._counters.keys() & found.keys():
            self._counters[name].add(found[name])

    def findings(self) -> list[Finding]:
        """See `Look`."""
        return [
            finding
            for name, profile in self._profiles.items()
            for finding in examine_column(
                name, self._counters[name].tally, profile, self._kinds[name], "prediction", matters=1.0
            )
        ]


class Worth:
    """How right the labelled answers were, and the labels' own distribution. A `Look` of rows of a program."""

    def __init__(self, reference: Reference, schema: Schema, settings: MonitorSpec) -> None:
        self._schema, self._profile, self._enough = schema, reference.profile, settings.rows
        self._kind = _kind(schema.target)
        self._labels = counter(self._profile.target, self._kind)
        self._scores = Sample(_MOST_SCORES)

    def add(self, rows: Rows) -> None:
        """See `Look`."""
        labelled = ~np.isnan(rows.columns[SCORE])
        self._labels.add(truth_column(rows.truth, self._schema))
        self._scores.add({SCORE: rows.columns[SCORE][labelled]})

    def findings(self) -> list[Finding]:
        """See `Look`."""
        skill = self._profile.skill
        if self._scores.rows < self._enough or skill is None:
            return []
        name, labels = self._schema.target.name, self._labels.tally
        found = examine_column(name, labels, self._profile.target, self._kind, "label", matters=1.0)
        return [*found, score_finding(skill, self._scores.columns[SCORE])]


def _kind(target: Target) -> Kind:
    """What an answer is, and so its truth."""
    return "category" if target.labels else "text" if target.text else "number"
