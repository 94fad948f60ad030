"""Fits as they would have been made at a moment of the past, and judged then: what a replay is made of.

`History` holds all rows in the order of time. A fit at a moment sees only rows whose label was known by then; it is
exported, and its answers are those of the graph. A renewal goes by the terms of a live one (see `terms`). Fits are
remembered, so that policies that want the same one share it, and so are its answers to all later rows.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

import msgspec
import numpy as np

from mainspring.data import splits
from mainspring.data.dataset import Dataset
from mainspring.data.fingerprints import mix
from mainspring.data.splits import Split
from mainspring.errors import DataError
from mainspring.evaluation import comparison, gate
from mainspring.evaluation.metrics import Predictions
from mainspring.lifecycle import judge
from mainspring.lifecycle.periods import MICROSECONDS
from mainspring.lifecycle.terms import Terms, terms
from mainspring.registry.versions import Recipe
from mainspring.runtimes.onnx import OnnxRuntime, Outputs
from mainspring.schema import MISSING_TEXT, MISSING_TIME, Column, Schema
from mainspring.spec import TabularSpec
from mainspring.tasks import tabular

_GATE_RESAMPLES = 500  # as few as the gate's bootstrap ever takes: a replay decides many times


@dataclass(frozen=True)
class Fit:
    """A version as it was made at the moment `at` (microseconds since 1970 UTC), from rows since `since` (None: all).

    `fit_rows` and `held_out` are places in the history: what it was fitted on, and what it was judged on. `newest` is
    the time of the newest row of both. `recipe` is what a renewal fits anew; its `kept_from` is the champion that it
    was taken from. `seconds` is what the fit cost.
    """

    version: str
    at: int
    since: int | None
    history: Dataset
    split: Split
    runtime: OnnxRuntime
    recipe: Recipe
    fit_rows: np.ndarray
    held_out: np.ndarray
    seconds: float

    @property
    def newest(self) -> int:
        """The time of the newest row that it has to do with."""
        times = self.history.time
        assert times is not None
        return int(times[max(self.fit_rows.max(), self.held_out.max())])

    @cached_property
    def _from(self) -> int:
        """The first place that it can be asked for live."""
        assert self.history.time is not None
        return int(np.searchsorted(self.history.time, self.at, side="left"))

    @cached_property
    def _later(self) -> Outputs:
        inputs = {
            column.name: self.history.columns[column.name][self._from :] for column in self.runtime.schema.features
        }
        return self.runtime.predict_in_chunks(inputs)

    def outputs(self, rows: slice) -> Outputs:
        """Its answers to rows of the history that came after it was made."""
        if rows.start < self._from:
            raise ValueError(f"version {self.version} was made after row {rows.start}")
        places = slice(rows.start - self._from, rows.stop - self._from)
        later = self._later
        return Outputs(*(None if a is None else a[places] for a in (later.labels, later.probabilities, later.values)))

    def predictions(self, rows: slice) -> Predictions:
        """The same, with classes in the order of the history's labels."""
        return judge.aligned(self.outputs(rows), self.runtime.schema, self.history.schema)

    def answers(self, places: np.ndarray) -> Outputs:
        """Its answers to any rows, as those that it is judged on."""
        inputs = {column.name: self.history.columns[column.name][places] for column in self.runtime.schema.features}
        return self.runtime.predict_in_chunks(inputs)


class History:
    """All rows in the order of time, and the fits made on them.

    Args:
        dataset: the rows, with a time each.
        spec: the model's.
        most_rows: how many rows a fit sees, and the gate judges on; of more, so many are chosen by content.
        label_delay: seconds until a row's label is known.
    """

    def __init__(self, dataset: Dataset, spec: TabularSpec, *, most_rows: int, label_delay: float) -> None:
        assert dataset.time is not None
        self.rows = dataset.take(np.argsort(dataset.time, kind="stable"))
        self.spec = spec
        self.most_rows = most_rows
        self.metric = tabular.metric_of(spec, dataset.schema)
        self.fits: list[Fit] = []
        self.capped = False
        self._delay = int(label_delay * MICROSECONDS)
        self._made: dict[tuple[int, int | None, float], Fit] = {}

    @property
    def times(self) -> np.ndarray:
        """(n,) int64 microseconds since 1970 UTC, sorted."""
        assert self.rows.time is not None
        return self.rows.time

    def known(self, now: int, since: int | None = None) -> np.ndarray:
        """The places of the rows, not older than `since`, whose label was known before `now`."""
        last = np.searchsorted(self.times, now - self._delay, side="left")
        first = 0 if since is None else np.searchsorted(self.times, since, side="left")
        return np.arange(first, last)

    def truth(self, rows: slice, now: int) -> np.ndarray:
        """(n,) float64: the truth of some rows as far as known before `now`, else NaN."""
        return np.where(self.times[rows] < now - self._delay, self.rows.truth[rows].astype(np.float64), np.nan)

    def first(self, now: int) -> Fit:
        """What the model's own search finds in the rows known at `now`.

        Raises:
            DataError: there is too little to learn from, or to judge by.
        """
        return self._remembered(now, Terms(None, self.spec, search=True), None)

    def renewal(self, champion: Fit, now: int, changed: int | None = None) -> Fit:
        """What a renewal of `champion` at `now` makes of the rows known then; the same one when asked again.

        Args:
            champion: whose recipe is kept, unless the spec's `renew` says what to search.
            now: microseconds since 1970 UTC.
            changed: when the world changed, if an alarm said so.

        Raises:
            DataError: there is too little to learn from, or to judge by.
        """
        known = self.known(now)
        if not len(known):
            raise DataError("no labelled rows are known yet")
        found = terms(self.spec, self.times[known], changed=changed, seen_until=champion.split.seen_until)
        return self._remembered(now, found, None if found.search else champion)

    def _remembered(self, now: int, found: Terms[TabularSpec], champion: Fit | None) -> Fit:
        # Champions differ in what they have seen, and so in the share to hold out; their recipes are one and the same
        # but for the rounds of boosting, which every fit finds anew.
        key = now, found.since, found.spec.holdout
        if key not in self._made:
            self._made[key] = self._fit(now, found, champion)
            self.fits.append(self._made[key])
        return self._made[key]

    def _fit(self, now: int, found: Terms[TabularSpec], champion: Fit | None) -> Fit:
        began = time.perf_counter()
        places = self.known(now, found.since)
        if not len(places):
            raise DataError("no labelled rows are known yet")
        known = as_of(self.rows.take(places))
        split = splits.hold_out(known, found.spec)
        held_out = split.is_holdout(known.table)
        chosen = self._capped(np.flatnonzero(~held_out), known.hashes)
        if champion is None:
            fitted = tabular.fit(known.take(chosen), found.spec, learning_curve=False)
        else:
            fitted = tabular.refit(known.take(chosen), found.spec, champion.recipe)
        kept_from = champion.version if champion else None
        return Fit(
            version=str(len(self.fits) + 1),
            at=now,
            since=found.since,
            history=self.rows,
            split=split,
            runtime=OnnxRuntime(fitted.model.to_onnx(), fitted.model.schema, threads=0),
            recipe=msgspec.structs.replace(tabular.recipe_of(fitted.search), kept_from=kept_from),
            fit_rows=places[chosen],
            held_out=places[held_out],
            seconds=time.perf_counter() - began,
        )

    def _capped(self, places: np.ndarray, hashes: np.ndarray) -> np.ndarray:
        """At most `most_rows` of the places, chosen by content: the same rows whenever it is asked."""
        if len(places) <= self.most_rows:
            return places
        self.capped = True
        keys = mix(hashes[places] ^ np.uint64(0x9E3779B97F4A7C15))  # independent of the search's own choice
        return np.sort(places[np.argsort(keys, kind="stable")[: self.most_rows]])

    def judge(self, champion: Fit, challenger: Fit) -> dict[str, object]:
        """The gate's verdict, on the challenger's held-out rows that the champion was not fitted on either."""
        held_out = challenger.held_out
        unseen = held_out[champion.split.is_holdout(self.rows.table.take(held_out))]
        if not len(unseen):
            return judge.undecided(champion.version, "the champion was fitted on all of the held-out rows")
        unseen = self._capped(unseen, self.rows.hashes)
        rows = self.rows.take(unseen)
        try:
            old, new = (
                judge.aligned(fit.answers(unseen), fit.runtime.schema, self.rows.schema)
                for fit in (champion, challenger)
            )
            found = comparison.compare(
                self.metric,
                rows.truth,
                champion=old,
                challenger=new,
                clusters=judge.clusters(rows),
                margin=self.spec.gate.margin,
                significance=self.spec.gate.significance,
                resamples=_GATE_RESAMPLES,
            )
        except DataError as error:
            return judge.undecided(champion.version, str(error))
        return gate.decide(found).as_dict()


def as_of(dataset: Dataset) -> Dataset:
    """With the schema's levels, bounds and holes as these rows alone show them: nobody knew the later ones."""
    features = tuple(_described(column, dataset.columns[column.name]) for column in dataset.schema.features)
    return replace(dataset, schema=Schema(features, dataset.schema.target))


def _described(column: Column, values: np.ndarray) -> Column:
    change: dict[str, object] = {}
    if column.kind in ("category", "text"):
        missing = values == MISSING_TEXT
        if column.kind == "category":
            counts = Counter(values[~missing].tolist())
            change["levels"] = tuple(sorted(counts, key=lambda level: (-counts[level], level))[: len(column.levels)])
    else:
        missing = values == MISSING_TIME if column.kind == "time" else np.isnan(values)
        if column.kind != "boolean" and not missing.all():
            change |= {"low": float(values[~missing].min()), "high": float(values[~missing].max())}
    return msgspec.structs.replace(column, nullable=bool(missing.any()), **change)
