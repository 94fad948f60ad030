"""Fitting when to answer: on questions whose answers are there, and on the same and others whose answers are not.

A question with a known place is asked twice, the second time with its own document or section left out: what is found
then is the nearest that is no answer, which is what an assistant must learn to keep silent about. Questions about
something else altogether (`tasks/other_questions.py`) are added, for such come, too.

The threshold is the one that tells best: where the shares of right decisions on both kinds of questions add up to most
(Youden, 1950). Or, with a `target`, it is the lowest at which wrongly given answers are rare: from the highest on down,
each is tested by the bound of Clopper and Pearson (1934) on the share of answered questions that have no answer, and
after the first that passes the first that fails ends it. That is fixed-sequence testing (Angelopoulos et al., 2021,
"Learn then Test") but for where it begins, which is seen in the data: the bound is nominal, and holds for this mixture
of questions alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mainspring.errors import DataError
from mainspring.evaluation.intervals import clopper_pearson
from mainspring.runtimes.index.answerable import FEATURES, Answerability, features
from mainspring.runtimes.index.found import Found

_RIDGE = 1e-2  # on standardised features: keeps the weights finite where the classes part
_ROUNDS = 50
_FEWEST = 10  # questions of either kind


@dataclass(frozen=True)
class Calibrated:
    """The rule, and what it does to the questions that it was calibrated with.

    `error` is the share of answered questions that have no answer, `bound` the most that it is, by `confidence`;
    `answered` is the share of the answerable questions that are answered. `kept`: whether the bound is as asked for, if
    one was; where no threshold keeps it, the rule has the one whose bound is the least.
    """

    rule: Answerability
    error: float
    bound: float
    answered: float
    kept: bool


def fit_answerability(
    found: Sequence[Sequence[Found]], holds: np.ndarray, *, target: float | None = None, confidence: float = 0.95
) -> Calibrated:
    """The rule for questions of this mixture.

    Args:
        found: what was found for each question, best first. Those with nothing are never answered, and left out here.
        holds: (n,) bool: whether the answer is among it.
        target: the most of the answered questions that may have no answer; None weighs both mistakes alike.
        confidence: of the bound on that.

    Raises:
        DataError: there are fewer than ten questions with answers, or without.
    """
    having = [at for at, passages in enumerate(found) if passages]
    truth = np.asarray(holds, bool)[having]
    if min(truth.sum(), (~truth).sum()) < _FEWEST:
        raise DataError(
            f"{int(truth.sum())} questions have their answer among the passages and {int((~truth).sum())} have not; "
            f"at least {_FEWEST} of either are needed to learn when to answer"
        )
    values = np.stack([features(found[at]) for at in having])
    weights, bias = logistic(values, truth)
    probabilities = 1 / (1 + np.exp(-(values @ weights + bias)))
    if target is None:
        threshold, error, bound, kept = best_threshold(probabilities, truth, confidence)
    else:
        threshold, error, bound, kept = choose_threshold(probabilities, truth, target, confidence)
    dense, ahead = map(float, weights)
    assert len(FEATURES) == len(weights)
    return Calibrated(
        Answerability(weights=(dense, ahead), bias=bias, threshold=threshold),
        error=error,
        bound=bound,
        answered=float((probabilities[truth] >= threshold).mean()),
        kept=kept,
    )


def logistic(values: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights (f,) and bias of a logistic rule on `values` (n, f), by Newton's method; both classes count alike."""
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-9
    x = np.column_stack([(values - mean) / spread, np.ones(len(values))])
    counts = np.where(truth, 0.5 / truth.sum(), 0.5 / (~truth).sum()) * len(truth)
    ridge = _RIDGE * len(truth) * np.diag([*np.ones(x.shape[1] - 1), 0.0])
    beta = np.zeros(x.shape[1])
    for _ in range(_ROUNDS):
        p = 1 / (1 + np.exp(-x @ beta))
        gradient = x.T @ (counts * (truth - p)) - ridge @ beta
        step = np.linalg.solve((x.T * (counts * p * (1 - p))) @ x + ridge, gradient)
        beta += step
        if np.abs(step).max() < 1e-9:
            break
    weights = beta[:-1] / spread
    return weights, float(beta[-1] - weights @ mean)


def best_threshold(probabilities: np.ndarray, truth: np.ndarray, confidence: float) -> tuple[float, float, float, bool]:
    """Where right decisions on both kinds add up to most, halfway to the next lower one; as `choose_threshold`."""
    ladder = np.unique(probabilities)
    gained = [(probabilities[truth] >= one).mean() - (probabilities[~truth] >= one).mean() for one in ladder]
    at = int(np.argmax(gained))
    answered = probabilities >= ladder[at]
    trials, wrong = int(answered.sum()), int((answered & ~truth).sum())
    bound = clopper_pearson(wrong, trials, 2 * confidence - 1)[1]
    return float(ladder[max(0, at - 1) : at + 1].mean()), wrong / trials, bound, True


def choose_threshold(
    probabilities: np.ndarray, truth: np.ndarray, target: float, confidence: float
) -> tuple[float, float, float, bool]:
    """The lowest threshold whose error is at most `target`, its error and bound, and whether there is one."""
    best: tuple[float, float, float] | None = None
    least: tuple[float, float, float] | None = None
    for threshold in np.unique(probabilities)[::-1]:
        answered = probabilities >= threshold
        trials, wrong = int(answered.sum()), int((answered & ~truth).sum())
        bound = clopper_pearson(wrong, trials, 2 * confidence - 1)[1]  # of two sides, whose upper one is wanted
        found = (float(threshold), wrong / trials, bound)
        if least is None or bound < least[2]:
            least = found
        if bound <= target:
            best = found
        elif best is not None:
            break
    chosen = best or least
    assert chosen is not None
    return (*chosen, best is not None)
