"""The report of a version: every number that backs it, as JSON. `report_page` draws it."""

from __future__ import annotations

from typing import Any

import msgspec


class DataSection(msgspec.Struct, frozen=True):
    """What it was made from. `notes` are plain sentences: what was dropped and why, leaks, and so on."""

    rows: int
    fit_rows: int
    holdout_rows: int
    split: str
    features: dict[str, str]  # name → kind
    notes: list[str]


class TrialLine(msgspec.Struct, frozen=True):
    """One trial of the search: the mean score over folds, its standard deviation, and the score on rows it saw.

    One fold alone has no standard deviation.
    """

    kind: str
    parameters: dict[str, Any]
    score: float
    spread: float | None
    train_score: float
    seconds: float
    weight: float  # in the chosen blend; 0 if it was not chosen


class CrossValidation(msgspec.Struct, frozen=True):
    """The chosen model on rows out of fold. `gap` is train score minus validation score: wide where variance is.

    `spread` is the standard deviation over folds; one fold alone has none.
    """

    folds: int
    method: str
    scores: list[float]
    mean: float
    spread: float | None
    train_mean: float
    gap: float


class LearningLine(msgspec.Struct, frozen=True):
    """One point of the learning curve."""

    rows: int
    train: float
    validation: float
    low: float
    high: float


class Importance(msgspec.Struct, frozen=True):
    """How much worse the metric gets when a column's values are shuffled among rows; the range is over shuffles."""

    column: str
    mean: float
    low: float
    high: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything. `holdout` and `baseline` map a metric to `{"value", "low", "high", "method"}`.

    `curves` holds, for two classes, `roc`, `precision_recall`, `calibration` and `expected_calibration_error`; for any
    number of classes `confusion`; for a regression `residuals` and `predicted` (against the truth). `kept_from` is the
    version whose recipe was fitted anew, without a search.
    """

    project: str
    model: str
    version: str
    task: str
    created: str
    target: str
    labels: list[str]
    metric: str
    greater_is_better: bool
    candidate: str
    threshold: float | None
    data: DataSection
    trials: list[TrialLine]
    pruned: int
    seconds: float
    cross_validation: CrossValidation
    learning_curve: list[LearningLine]
    holdout: dict[str, dict[str, Any]]
    baseline: dict[str, dict[str, Any]]
    curves: dict[str, Any]
    importance: list[Importance]
    parity: dict[str, Any]
    verdict: dict[str, Any]
    kept_from: str | None = None
