"""What is looked at in a window: its inputs, its answers, and how good these were.

Each look takes the window's rows batch by batch and keeps no more of them than it needs. Columns are counted; the
domain classifier takes a sample of 2,000 rows. A metric such as the area under the ROC curve needs the outputs and
labels themselves: a sample of up to 100,000 rows is kept, which leaves an error in the third digit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import numpy as np

from mainspring.evaluation.metrics import Predictions
from mainspring.monitoring.drift import counter, examine_column
from mainspring.monitoring.multivariate import ROWS, domain_finding
from mainspring.monitoring.observations import Finding, Rows
from mainspring.monitoring.performance import as_predictions, estimated_finding, measured_finding
from mainspring.monitoring.profiles import Reference, output_columns, truth_column
from mainspring.monitoring.sampling import Sample
from mainspring.monitoring.tallies import watched
from mainspring.schema import Kind, Schema
from mainspring.spec import MonitorSpec

_MOST_OUTPUTS = 100_000  # rows


class Look(Protocol):
    """Takes rows again and again, and in the end says what it found."""

    def add(self, rows: Rows) -> None:
        """Take the next rows of the window."""

    def findings(self) -> list[Finding]:
        """What is found in the rows so far; at least one row was added."""


MakeLook: TypeAlias = Callable[[Reference, Schema, MonitorSpec], Look]


class Inputs:
    """Each input, and all of them together."""

    def __init__(self, reference: Reference, schema: Schema, settings: MonitorSpec) -> None:
        self._reference, self._schema, self._ignore = reference, schema, settings.ignore
        profiles = reference.profile.inputs
        self._counters = {column.name: counter(profiles[column.name], column.kind) for column in schema.features}
        self._sample = Sample(ROWS)

    def add(self, rows: Rows) -> None:
        """See `Look`."""
        for column in self._schema.features:
            self._counters[column.name].add(watched(rows.columns[column.name], column.kind))
        self._sample.add(rows.columns)

    def findings(self) -> list[Finding]:
        """See `Look`."""
        profile, found = self._reference.profile, []
        for column in self._schema.features:
            known, tally = profile.inputs[column.name], self._counters[column.name].tally
            found += examine_column(column.name, tally, known, column.kind, matters=known.importance)
        together = domain_finding(self._reference.sample, self._sample, self._schema, profile, ignore=self._ignore)
        return found if together is None else [*found, together]


class Answers:
    """The label and the probabilities, or the value."""

    def __init__(self, reference: Reference, schema: Schema, settings: MonitorSpec) -> None:
        self._schema, self._profiles = schema, reference.profile.outputs
        self._kinds: dict[str, Kind] = {name: "category" if name == "label" else "number" for name in self._profiles}
        self._counters = {name: counter(profile, self._kinds[name]) for name, profile in self._profiles.items()}

    def add(self, rows: Rows) -> None:
        """See `Look`."""
        for name, values in output_columns(rows.outputs, self._schema).items():
            self._counters[name].add(values)

    def findings(self) -> list[Finding]:
        """See `Look`."""
        found = []
        for name, profile in self._profiles.items():
            tally = self._counters[name].tally
            found += examine_column(name, tally, profile, self._kinds[name], "prediction", matters=1.0)
        return found


class Performance:
    """Measured where there are labels enough, with the labels' own distribution; estimated where not."""

    def __init__(self, reference: Reference, schema: Schema, settings: MonitorSpec) -> None:
        self._schema, self._profile, self._enough = schema, reference.profile, settings.rows
        self._kind: Kind = "category" if schema.target.labels else "number"
        self._labels = counter(self._profile.target, self._kind)
        self._all, self._labelled = Sample(_MOST_OUTPUTS), Sample(_MOST_OUTPUTS)

    def add(self, rows: Rows) -> None:
        """See `Look`."""
        self._labels.add(truth_column(rows.truth, self._schema))
        predictions = as_predictions(rows.outputs, self._schema)
        columns = {"truth": rows.truth, "values": predictions.values}
        if predictions.probabilities is not None:
            columns["probabilities"] = predictions.probabilities
        labelled = ~np.isnan(rows.truth)
        self._all.add(columns)
        self._labelled.add({name: values[labelled] for name, values in columns.items()})

    def findings(self) -> list[Finding]:
        """See `Look`."""
        skill, target = self._profile.skill, self._schema.target
        if self._labelled.rows < self._enough:
            estimated = estimated_finding(skill, _predictions(self._all)) if skill else None
            return [estimated] if estimated else []
        labels, profile = self._labels.tally, self._profile.target
        found = examine_column(target.name, labels, profile, self._kind, "label", matters=1.0)
        predictions = _predictions(self._labelled)
        measured = measured_finding(skill, self._labelled.columns["truth"], predictions) if skill else None
        return [*found, measured] if measured else found


def _predictions(sample: Sample) -> Predictions:
    return Predictions(sample.columns["values"], sample.columns.get("probabilities"))
