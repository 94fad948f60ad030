"""Have the inputs moved together? A domain classifier: can the window be told from the reference?

Two columns can each look as ever while what belongs together has changed. So a small gradient-boosted classifier is
taught to tell rows of the window from rows of the reference; out of fold, its area under the ROC curve is 0.5 where
nothing moved (Lopez-Paz & Oquab, "Revisiting Classifier Two-Sample Tests", 2017). The effect is 2 x area - 1, from 0
to 1: how much more often than not a row of the window looks more like the window than a row of the reference does.
A sample of the window's rows is enough for that.

Vectors of texts have hundreds of columns, of which none says anything by itself, and often few rows: there the
classifier is a linear one, Fisher's discriminant with a shrunken covariance (Ledoit & Wolf, 2004), which needs no
choice of its own. What it sees is that the texts speak of other things, and not that they vary more or less around the
same.

The folds share rows to learn from, so that their areas vary together. Of trees the p-value of the mean area is
therefore somewhat too small; what keeps this quiet is the effect. A linear classifier of many columns knows little more
than by how much two means differ, and there every pair of folds would count twice. So each fold is tested by itself,
which is exact, and one and a half times the middle one of the three p-values is a p-value however they depend on each
other (Rüger, 1978).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold

from mainspring.evaluation.intervals import delong_standard_error
from mainspring.evaluation.ranking import RocAuc
from mainspring.monitoring.observations import Finding, Subject
from mainspring.monitoring.profiles import Profile
from mainspring.monitoring.sampling import Sample
from mainspring.monitoring.tallies import watched
from mainspring.schema import Column, Columns, Schema

ROWS = 2000  # of either side
_FOLDS = 3
_FEWEST = 10 * _FOLDS  # rows of a side
_WIDTH = float(norm.ppf(0.975))


def domain_finding(
    reference: Columns, window: Sample, schema: Schema, profile: Profile, *, ignore: tuple[str, ...] = (), seed: int = 0
) -> Finding | None:
    """Tell the rows of `window` from up to 2,000 of the `reference`'s; None with too little of either.

    Columns whose names are in `ignore` are not looked at. `seed` decides on the rows of the reference and the folds.
    """
    features = [column for column in schema.features if column.name not in ignore]
    before = Sample(ROWS, seed)
    before.add(reference)
    if not features or min(len(before), len(window)) < _FEWEST:
        return None
    old, new = (_matrix(sample, features, profile) for sample in (before, window))

    def classifier() -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(
            max_iter=40,
            learning_rate=0.15,
            max_leaf_nodes=8,
            min_samples_leaf=20,
            early_stopping=False,
            categorical_features=[bool(profile.inputs[feature.name].shares) for feature in features],
            random_state=seed,
        )

    return _told_apart(
        old, new, classifier, _of_mean, subject="multivariate", name="inputs", rows=window.rows, seed=seed
    )


def vectors_finding(old: np.ndarray, new: np.ndarray, *, name: str, rows: int, seed: int = 0) -> Finding | None:
    """Tell vectors of a window, (m, width), from those of the reference, (n, width); None with too few of either.

    None may come twice: what a classifier has learned it knows again, and that is no difference. The finding is about
    `name`, in a window of so many `rows`.
    """
    if min(len(old), len(new)) < _FEWEST:
        return None

    def classifier() -> LinearDiscriminantAnalysis:
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")

    return _told_apart(old, new, classifier, _of_median, seed, subject="questions", name=name, rows=rows)


def _told_apart(
    old: np.ndarray,
    new: np.ndarray,
    classifier: Callable[[], Any],
    p_value: Callable[[np.ndarray, np.ndarray], float],
    seed: int,
    *,
    subject: Subject,
    name: str,
    rows: int,
) -> Finding:
    """How well a classifier, which learns on two folds and is judged on the third, tells `new` from `old`.

    `p_value` is that of the folds' areas, given how far each is from one half by chance.
    """
    inputs = np.vstack([old, new])
    is_window = np.repeat([False, True], [len(old), len(new)])
    areas, errors, by_chance = [], [], []
    for train, test in StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(inputs, is_window):
        learned = classifier().fit(inputs[train], is_window[train])
        ranking = RocAuc(is_window[test], learned.decision_function(inputs[test]))
        weights = np.ones(len(test))
        areas.append(float(ranking.values(weights)))
        errors.append(delong_standard_error(is_window[test], ranking.influence(weights)))
        # Where nothing moved, the area's variance is that of Mann & Whitney (1947).
        news = int(is_window[test].sum())
        by_chance.append(np.sqrt((len(test) + 1) / (12 * news * (len(test) - news))))
    area, error = float(np.mean(areas)), float(np.sqrt(np.square(errors).sum())) / _FOLDS
    return Finding(
        subject=subject,
        name=name,
        test="domain classifier",
        effect=max(0.0, 2 * area - 1),
        p_value=p_value(np.array(areas), np.array(by_chance)),
        rows=rows,
        matters=1.0,
        was="area 0.5",
        now=f"area {area:.3g}",
        detail={"area": area, "low": area - _WIDTH * error, "high": min(1.0, area + _WIDTH * error)},
    )


def _of_mean(areas: np.ndarray, by_chance: np.ndarray) -> float:
    return float(norm.sf((areas - 0.5).sum() / np.sqrt(np.square(by_chance).sum())))


def _of_median(areas: np.ndarray, by_chance: np.ndarray) -> float:
    return float(min(1.0, 1.5 * np.median(norm.sf((areas - 0.5) / by_chance))))


def _matrix(sample: Sample, features: list[Column], profile: Profile) -> np.ndarray:
    """The rows as numbers: (n, features)."""
    return np.column_stack(
        [
            _numbers(watched(sample.columns[feature.name], feature.kind), list(profile.inputs[feature.name].shares))
            for feature in features
        ]
    )


def _numbers(values: np.ndarray, known: list[str]) -> np.ndarray:
    """A column as float64: numbers as they are, a category as its place among the `known` ones, NaN where missing."""
    if values.dtype != object:
        return values
    places = {value: float(place) for place, value in enumerate(known)} | {"": np.nan}
    unseen = float(len(known))
    return np.array([places.get(value, unseen) for value in values.tolist()])
