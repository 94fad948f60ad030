"""Which candidate, with which parameters? Cross-validation of trials that Optuna proposes, and a blend of the best.

Everything that learns from rows (tables of categories, medians, scaling, early stopping) learns from a fold's training
rows alone. The featurizer has nothing to search, so each fold's matrices are made once and shared by all trials.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mainspring.errors import DataError
from mainspring.evaluation.metrics import METRICS, Predictions, score
from mainspring.schema import Columns, Schema
from mainspring.tasks import candidates
from mainspring.tasks.candidates import KINDS, Kind, Parameters
from mainspring.tasks.features import fit_transform
from mainspring.tasks.model import Member

_BLEND_FROM = 8  # the best trials that a blend may draw from
_BLEND_STEPS = 12
_TRAIN_SCORE_ROWS = 5000


@dataclass(frozen=True)
class Fold:
    """One split of the rows, ready for every trial. Positions are into the rows that are searched."""

    train: np.ndarray
    validation: np.ndarray
    stop: np.ndarray  # positions into `train`: the part that early stopping watches
    matrix: np.ndarray
    validation_matrix: np.ndarray


@dataclass(frozen=True)
class Rows:
    """What a search sees of the data: n rows of the fit side."""

    schema: Schema
    columns: Columns
    truth: np.ndarray
    weights: np.ndarray | None

    @property
    def classes(self) -> int:
        """How many classes; 0 for a regression."""
        return len(self.schema.target.labels)

    def take(self, rows: np.ndarray) -> Rows:
        """Some of the rows."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return Rows(self.schema, columns, self.truth[rows], None if self.weights is None else self.weights[rows])

    def encoding_target(self) -> np.ndarray:
        """(n, t): what tables of many categories hold the means of."""
        if self.classes:
            return (self.truth[:, None] == np.arange(1, self.classes)).astype(np.float64)
        spread = self.truth.std() or 1.0
        return ((self.truth - self.truth.mean()) / spread)[:, None]


@dataclass(frozen=True)
class Trial:
    """One set of parameters, and how it did: a score a fold, and the predictions of every row while it was held out."""

    kind: str
    parameters: Parameters
    scores: tuple[float, ...]
    train_scores: tuple[float, ...]
    out_of_fold: np.ndarray = field(repr=False)
    seconds: float

    @property
    def score(self) -> float:
        """The mean over folds."""
        return float(np.mean(self.scores))


@dataclass(frozen=True)
class Search:
    """What was tried, and what was chosen: trials with weights that add up to 1."""

    metric: str
    trials: tuple[Trial, ...]
    chosen: tuple[tuple[Trial, float], ...]
    out_of_fold: np.ndarray = field(repr=False)  # (n, classes) or (n, 1); NaN where a row was never held out
    pruned: int = 0

    @property
    def name(self) -> str:
        """The kind that was chosen."""
        return "blend" if len(self.chosen) > 1 else self.chosen[0][0].kind


def prepare(rows: Rows, folds: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], seed: int) -> list[Fold]:
    """Fit each fold's featurizer on its training rows, and make its matrices."""
    prepared = []
    for train, validation, stop in folds:
        part = rows.take(train)
        featurizer, matrix = fit_transform(part.columns, rows.schema.features, part.encoding_target(), seed=seed)
        validation_matrix = featurizer.apply(rows.take(validation).columns)
        prepared.append(Fold(train, validation, stop, matrix, validation_matrix))
    return prepared


def fit_member(
    kind: Kind, parameters: Parameters, rows: Rows, matrix: np.ndarray, *, seed: int, stop: np.ndarray | None = None
) -> Member:
    """Fit one estimator on `rows`; with `stop`, those rows are only watched, and the best round is kept."""
    classes, truth = None, rows.truth
    if rows.classes:
        classes, truth = np.unique(rows.truth, return_inverse=True)
        if len(classes) < 2:
            raise DataError("all rows to fit on are of one class: the target needs at least two")
    estimator = kind.build(bool(rows.classes), parameters, seed)
    if kind.rounds and stop is not None:
        watched = np.zeros(len(truth), dtype=bool)
        watched[stop] = True
        # A class that only the watched rows hold cannot be learnt: early stopping has to do without them.
        if rows.classes and len(np.unique(truth[~watched])) < len(np.unique(truth)):
            watched[:] = False
        if watched.any():
            weights = None if rows.weights is None else rows.weights[~watched]
            fit_on = matrix[~watched], truth[~watched], weights
            best = candidates.fit_with_early_stopping(estimator, fit_on, (matrix[watched], truth[watched]))
            return Member(kind, {**parameters, "rounds": best}, estimator, classes)
    candidates.fit(kind, estimator, matrix, truth, rows.weights)
    return Member(kind, parameters, estimator, classes)


def predictions(raw: np.ndarray, classes: int) -> Predictions:
    """Raw member outputs as predictions, before calibration: the most probable class."""
    if classes:
        return Predictions(values=raw.argmax(axis=1), probabilities=raw)
    return Predictions(values=raw[:, 0], probabilities=None)


def run_trial(
    kind: Kind,
    parameters: Parameters,
    rows: Rows,
    folds: Sequence[Fold],
    metric: str,
    *,
    seed: int,
    after_fold: Callable[[int, float], None] = lambda fold, mean: None,
) -> Trial:
    """Cross-validate one set of parameters. `after_fold` is told the mean so far, and may raise to give up."""
    began = time.perf_counter()
    out_of_fold = np.full((len(rows.truth), rows.classes or 1), np.nan)
    scores, train_scores = [], []
    rounds: list[int] = []
    for number, fold in enumerate(folds):
        member = fit_member(kind, parameters, rows.take(fold.train), fold.matrix, seed=seed, stop=fold.stop)
        raw = member.predict(fold.validation_matrix, rows.classes)
        out_of_fold[fold.validation] = raw
        scores.append(score(metric, rows.truth[fold.validation], predictions(raw, rows.classes)))
        some = slice(None, None, max(1, len(fold.train) // _TRAIN_SCORE_ROWS))
        seen = predictions(member.predict(fold.matrix[some], rows.classes), rows.classes)
        train_scores.append(score(metric, rows.truth[fold.train[some]], seen))
        if "rounds" in member.parameters:
            rounds.append(member.parameters["rounds"])
        after_fold(number, float(np.mean(scores)))
    if rounds:
        parameters = {**parameters, "rounds": int(np.mean(rounds))}
    seconds = time.perf_counter() - began
    return Trial(kind.name, parameters, tuple(scores), tuple(train_scores), out_of_fold, seconds)


def search(
    rows: Rows,
    folds: Sequence[Fold],
    *,
    kinds: Sequence[str],
    metric: str,
    trials: int | None,
    seconds: float | None,
    seed: int,
    progress: Callable[[Trial, Trial], None] = lambda trial, best: None,
) -> Search:
    """Try candidates until the budget is used up, then choose.

    Every kind is tried once with its defaults first, whatever the budget; then Optuna's tree-structured Parzen
    estimator proposes. A trial that is clearly behind after a fold is given up. With a budget in trials the result
    depends on data, spec and seed alone; with one in seconds also on the machine.

    Args:
        kinds: names of candidates, perhaps with "blend"; "blend" alone draws from every kind.
        progress: is told each finished trial, and the best so far.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    single = [name for name in kinds if name != "blend"] or list(KINDS)
    greater = METRICS[metric].greater_is_better
    study = optuna.create_study(
        direction="maximize" if greater else "minimize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=len(single) + 4),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=len(single) + 2),
    )
    deadline = None if seconds is None else time.perf_counter() + seconds
    done: list[Trial] = []
    pruned = 0

    def best() -> Trial:
        return (max if greater else min)(done, key=lambda trial: trial.score)

    def spent() -> bool:
        if len(done) + pruned < len(single):
            return False
        late = deadline is not None and time.perf_counter() > deadline
        return late or (trials is not None and len(done) + pruned >= trials)

    def attempt(asked: optuna.Trial) -> Trial:
        def after_fold(number: int, mean: float) -> None:
            asked.report(mean, number)
            if asked.should_prune() or (deadline is not None and spent()):
                raise optuna.TrialPruned

        kind = KINDS[asked.suggest_categorical("kind", single)]
        return run_trial(kind, kind.suggest(asked), rows, folds, metric, seed=seed, after_fold=after_fold)

    for name in single:
        defaults = {f"{name}.{key}": value for key, value in KINDS[name].defaults.items()}
        study.enqueue_trial({"kind": name, **defaults})
    while not spent():
        asked = study.ask()
        try:
            done.append(attempt(asked))
        except optuna.TrialPruned:
            pruned += 1
            study.tell(asked, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(asked, done[-1].score)
            progress(done[-1], best())
    chosen = _blend(rows, done, metric) if "blend" in kinds else [(best(), 1.0)]
    out_of_fold = sum(weight * trial.out_of_fold for trial, weight in chosen)
    return Search(metric, tuple(done), tuple(chosen), np.asarray(out_of_fold), pruned)


def _blend(rows: Rows, trials: Sequence[Trial], metric: str) -> list[tuple[Trial, float]]:
    """Greedy selection with replacement from the best trials, on rows out of fold (Caruana et al., 2004)."""
    sign = 1.0 if METRICS[metric].greater_is_better else -1.0
    ranked = sorted(trials, key=lambda trial: -sign * trial.score)[:_BLEND_FROM]
    known = ~np.isnan(ranked[0].out_of_fold[:, 0])
    truth = rows.truth[known]

    def quality(raw: np.ndarray) -> float:
        return sign * score(metric, truth, predictions(raw, rows.classes))

    counts = best = np.zeros(len(ranked), dtype=int)
    total = np.zeros_like(ranked[0].out_of_fold[known])
    reached = -np.inf
    for step in range(1, _BLEND_STEPS + 1):
        # The best so far may be taken again and again, until there is enough of it for a little of another to help.
        options = [quality((total + trial.out_of_fold[known]) / step) for trial in ranked]
        taken = int(np.argmax(options))
        counts = counts + np.eye(len(ranked), dtype=int)[taken]
        total += ranked[taken].out_of_fold[known]
        if options[taken] > reached:
            reached, best = options[taken], counts
    return [(trial, float(count / best.sum())) for trial, count in zip(ranked, best, strict=True) if count]
