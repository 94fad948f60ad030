"""What is watched of a collection of documents: what it is asked, and what it finds.

*Questions* are compared by their vectors, with a classifier (see `multivariate`): nothing else about a question tells
what it is about. The log keeps no vectors. Of a window that is complete a sample of distinct questions is embedded
anew; so nothing is kept of a question that is private, and of a collection with private questions only searches are
watched. A question that is asked often counts once: how often it comes is not what it is about.

*Searches* have five columns:

    score        of the best passage
    gap          from there to the second
    answerable   the calibrated probability that the answer is there
    abstained    whether that is below the threshold, so that an assistant does not answer
    empty        whether nothing was found at all

The reference is made of the development questions that the documents answer, for these are what was expected. How many
there are beside them that the documents do not answer says something of who wrote them, and nothing of who will ask. A
collection without questions has no reference when it is fitted; then the first complete window of its traffic is the
reference of those that follow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from mainspring.monitoring.drift import counter, examine_column
from mainspring.monitoring.multivariate import ROWS, vectors_finding
from mainspring.monitoring.observations import Finding, Rows
from mainspring.monitoring.profiles import ColumnProfile, Profile, Reference, describe
from mainspring.monitoring.sampling import Sample
from mainspring.monitoring.tallies import watched
from mainspring.runtimes.index.found import Searched
from mainspring.schema import Columns, Kind, Schema
from mainspring.spec import MonitorSpec

Embed = Callable[[list[str]], np.ndarray]  # questions to unit vectors, (n, width) float32

QUESTION, VECTOR = "question", "vector"
KINDS: dict[str, Kind] = {
    "score": "number", "gap": "number", "answerable": "number", "abstained": "boolean", "empty": "boolean",
}  # fmt: skip
_MOST_EMBEDDED = 500  # questions of a window: a few seconds of one core


def profile_of(vectors: np.ndarray, searched: Sequence[Searched], *, seed: int = 0) -> Reference:
    """The reference of a version, by the development questions that its documents answer.

    Args:
        vectors: (n, width), those of the questions.
        searched: (n,) what the version finds for each; at least two passages where there are so many.
        seed: which vectors are kept, where there are more than 2,000.
    """
    scores = [sorted((one.score for one in each.found), reverse=True) for each in searched]
    answerable = [math.nan if each.answerable is None else each.answerable for each in searched]
    threshold = next((each.threshold for each in searched if each.threshold is not None), None)
    columns = found_columns(scores, np.array(answerable, np.float64), threshold)
    return _reference(vectors, columns, threshold, seed)


def learned(rows: Rows, *, embed: Embed) -> Reference:
    """The reference of the rows that follow, by live ones."""
    vectors = np.empty((0, 1), np.float32)
    if QUESTION in rows.columns:
        sample = Sample(ROWS)
        sample.add({QUESTION: rows.columns[QUESTION]})
        vectors = embed(_distinct(sample))
    return _reference(vectors, {name: rows.columns[name] for name in KINDS}, None, seed=0)


def found_columns(
    scores: Sequence[Sequence[float]],
    answerable: np.ndarray,
    threshold: float | None,
    abstained: np.ndarray | None = None,
) -> Columns:
    """The columns of n searches.

    Args:
        scores: of each the passages' scores, the greatest first.
        answerable: (n,) float64, NaN where nothing tells.
        threshold: of `answerable`.
        abstained: (n,) float64, whether an assistant did not answer; NaN where none was asked, or it is not known. It
            counts only where `answerable` cannot tell: an assistant has more reasons than the reference knows.
    """
    below = np.full(len(scores), np.nan) if abstained is None else abstained
    if threshold is not None:
        below = np.where(np.isnan(answerable), below, answerable < threshold)
    return {
        "score": np.array([each[0] if each else math.nan for each in scores], np.float64),
        "gap": np.array([each[0] - each[1] if len(each) > 1 else math.nan for each in scores], np.float64),
        "answerable": answerable,
        "abstained": below,
        "empty": np.array([not each for each in scores], np.float64),
    }


class Questions:
    """What the questions are about. A `Look` of rows of a collection.

    Args:
        embed: by the version's embedder.
    """

    def __init__(self, reference: Reference, schema: Schema, settings: MonitorSpec, *, embed: Embed) -> None:
        self._reference, self._embed = reference.sample[VECTOR], embed
        self._sample = Sample(ROWS)

    def add(self, rows: Rows) -> None:
        """See `Look`."""
        if QUESTION in rows.columns:
            self._sample.add({QUESTION: rows.columns[QUESTION]})

    def findings(self) -> list[Finding]:
        """See `Look`."""
        if not len(self._reference) or not len(self._sample):
            return []
        asked = self._embed(_distinct(self._sample))
        reference = self._reference.astype(np.float32)
        found = vectors_finding(reference, asked, name=QUESTION, rows=self._sample.rows)
        return [] if found is None else [found]


class Searches:
    """What is found. A `Look` of rows of a collection."""

    def __init__(self, reference: Reference, schema: Schema, settings: MonitorSpec) -> None:
        self._profiles = reference.profile.outputs
        self._counters = {name: counter(profile, KINDS[name]) for name, profile in self._profiles.items()}

    def add(self, rows: Rows) -> None:
        """See `Look`."""
        for name, counted in self._counters.items():
            counted.add(watched(rows.columns[name], KINDS[name]))

    def findings(self) -> list[Finding]:
        """See `Look`."""
        return [
            finding
            for name, profile in self._profiles.items()
            for finding in examine_column(name, self._counters[name].tally, profile, KINDS[name], "search", matters=1.0)
        ]


def _reference(vectors: np.ndarray, columns: Columns, threshold: float | None, seed: int) -> Reference:
    outputs = {name: _described(watched(values, KINDS[name])) for name, values in columns.items()}
    rows = len(columns["score"])
    nothing = ColumnProfile(0, 1.0)
    profile = Profile(rows=rows, inputs={}, outputs=outputs, target=nothing, skill=None, threshold=threshold)
    distinct = np.unique(vectors.astype(np.float16), axis=0)
    kept = np.random.default_rng(seed).permutation(len(distinct))[:ROWS]
    return Reference(profile, {VECTOR: distinct[np.sort(kept)]})


def _described(values: np.ndarray) -> ColumnProfile:
    """As `profiles.describe`. Of yes and no both are known, also where one of them has never come."""
    found = describe(values)
    if not found.shares:
        return found
    shares = {word: found.shares.get(word, 0.0) for word in ("false", "true")}
    return msgspec.structs.replace(found, shares=shares, outside=0.0)


def _distinct(sample: Sample) -> list[str]:
    """Some of the questions, each once."""
    texts = sample.columns[QUESTION].tolist() if len(sample) else []
    by_words = {" ".join(text.casefold().split()): text for text in texts if text.strip()}
    found = list(by_words.values())
    return found[:: math.ceil(len(found) / _MOST_EMBEDDED) or 1]
