import time
from dataclasses import replace

import numpy as np
import pytest

from mainspring.errors import DataError
from mainspring.evaluation.metrics import METRICS, score
from mainspring.schema import Column, Schema, Target
from mainspring.tasks.candidates import KINDS
from mainspring.tasks.search import Fold, Rows, Search, Trial, fit_member, predictions, prepare, run_trial, search

from .tables import table

TWO, THREE, NUMBER = (False, True), ("a", "b", "c"), ()


def divided(rows: Rows, count: int = 3) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Every third row is validated on in turn; every fifth of the others is what early stopping watches."""
    places = np.arange(len(rows.truth))
    parts = [(places[places % count != fold], places[places % count == fold]) for fold in range(count)]
    return [(train, validation, np.arange(0, len(train), 5)) for train, validation in parts]


def prepared(rows: Rows) -> list[Fold]:
    return prepare(rows, divided(rows), 0)


def searched(labels=TWO, rows=240, kinds=("linear", "tree", "blend"), trials=8, seconds=None, seed=0, **more) -> Search:
    made = table(rows, labels)
    metric = more.pop("metric", {2: "roc_auc", 3: "log_loss", 0: "rmse"}[len(labels)])
    options = {"kinds": kinds, "metric": metric, "trials": trials, "seconds": seconds, "seed": seed, **more}
    return search(made, prepared(made), **options)


def same(one: Trial, other: Trial) -> bool:
    return replace(one, seconds=0, out_of_fold=None) == replace(other, seconds=0, out_of_fold=None) and np.array_equal(
        one.out_of_fold, other.out_of_fold, equal_nan=True
    )


@pytest.mark.parametrize("labels", [TWO, NUMBER])
def test_the_same_seed_gives_the_same_to_the_bit(labels):
    kinds = ("linear", "tree", "forest", "boosting", "blend")
    one, other = (searched(labels, rows=120, kinds=kinds, trials=6) for _ in range(2))
    assert len(one.trials) == len(other.trials)
    assert all(map(same, one.trials, other.trials))
    assert [weight for _, weight in one.chosen] == [weight for _, weight in other.chosen]
    assert all(same(a, b) for (a, _), (b, _) in zip(one.chosen, other.chosen, strict=True))
    assert np.array_equal(one.out_of_fold, other.out_of_fold)


def test_another_seed_tries_others():
    one, other = searched(kinds=("tree",), seed=1), searched(kinds=("tree",), seed=2)
    assert [trial.parameters for trial in one.trials] != [trial.parameters for trial in other.trials]


def test_every_kind_is_tried_once_with_its_defaults_whatever_the_budget():
    for budget in ({"trials": 1}, {"trials": None, "seconds": 1e-3}):
        found = searched(rows=120, kinds=tuple(KINDS), **budget)
        assert [trial.kind for trial in found.trials] == list(KINDS)
        assert found.pruned == 0
        for trial in found.trials:
            assert trial.parameters.items() >= KINDS[trial.kind].defaults.items()


def test_a_budget_in_seconds_is_kept():
    began = time.perf_counter()
    found = searched(kinds=("tree",), trials=None, seconds=1.0)
    took = time.perf_counter() - began
    assert 1.0 <= took < 6.0  # a trial of a tree is some milliseconds, on a busy machine more
    assert len(found.trials) > 3


def test_a_budget_in_trials_counts_those_given_up():
    found = searched(kinds=("tree",), trials=30)
    assert len(found.trials) + found.pruned == 30
    assert found.pruned > 0
    assert all(len(trial.scores) == len(trial.train_scores) == 3 for trial in found.trials)


def test_progress_hears_of_each_finished_trial_and_the_best_so_far():
    heard = []
    found = searched(trials=12, progress=lambda trial, best: heard.append((trial, best)))
    assert [trial for trial, _ in heard] == list(found.trials)
    for count, (_, best) in enumerate(heard, start=1):
        assert best.score == max(trial.score for trial in found.trials[:count])


@pytest.mark.parametrize("labels", [TWO, THREE, NUMBER])
def test_without_a_blend_the_best_is_chosen_alone(labels):
    found = searched(labels, kinds=("linear", "tree"))
    ((chosen, weight),) = found.chosen
    best = max if METRICS[found.metric].greater_is_better else min
    assert weight == 1.0
    assert chosen.score == best(trial.score for trial in found.trials)
    assert found.name == chosen.kind
    assert np.array_equal(found.out_of_fold, chosen.out_of_fold)


@pytest.mark.parametrize(
    ("labels", "metric"),
    [(TWO, "roc_auc"), (TWO, "f1"), (TWO, "brier"), (THREE, "log_loss"), (NUMBER, "rmse"), (NUMBER, "r2")],
)
def test_a_blend_is_never_worse_out_of_fold_than_the_best_alone(labels, metric):
    found = searched(labels, metric=metric, kinds=("linear", "tree", "blend"), trials=8)
    truth, sign = table(240, labels).truth, METRICS[metric].sign

    def quality(out_of_fold: np.ndarray) -> float:
        return sign * score(metric, truth, predictions(out_of_fold, len(labels)))

    assert sum(weight for _, weight in found.chosen) == pytest.approx(1, abs=1e-12)
    assert all(weight > 0 for _, weight in found.chosen)
    mixed = sum(weight * trial.out_of_fold for trial, weight in found.chosen)
    assert found.out_of_fold == pytest.approx(mixed, abs=1e-12)
    assert quality(found.out_of_fold) >= max(quality(trial.out_of_fold) for trial in found.trials) - 1e-12
    assert (found.name == "blend") == (len(found.chosen) > 1)


def test_a_blend_of_different_kinds_gains():
    """A slope, which a tree makes steps of, and a step, which a line makes a slope of: each knows half."""
    draw = np.random.default_rng(0)
    slope, step = draw.normal(size=(2, 600))
    truth = 2 * slope + 3 * (np.abs(step) < 0.7)
    features = (Column("slope", "number"), Column("step", "number"))
    rows = Rows(Schema(features, Target("y")), {"slope": slope, "step": step}, truth, None)
    kinds = ("linear", "tree", "blend")
    found = search(rows, prepared(rows), kinds=kinds, metric="rmse", trials=2, seconds=None, seed=0)
    alone = min(score("rmse", truth, predictions(trial.out_of_fold, 0)) for trial in found.trials)
    assert found.name == "blend"
    assert score("rmse", truth, predictions(found.out_of_fold, 0)) < alone


def test_blend_alone_draws_from_every_kind():
    assert {trial.kind for trial in searched(rows=120, kinds=("blend",), trials=1).trials} == set(KINDS)


@pytest.mark.parametrize("labels", [TWO, NUMBER])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_learns_from_the_rows_that_judge_it(kind, labels):
    """The targets of the validation rows may be anything: what is predicted of them is the same, to the bit."""
    rows = table(200, labels)
    train, validation, stop = divided(rows)[0]
    truth = rows.truth.copy()
    truth[validation] = truth[validation][::-1]
    turned = replace(rows, truth=truth)
    one, other = (
        run_trial(
            KINDS[kind], KINDS[kind].defaults, each, prepare(each, [(train, validation, stop)], 0), metric, seed=0
        )
        for each, metric in ((rows, "log_loss" if labels else "rmse"), (turned, "log_loss" if labels else "rmse"))
    )
    assert np.array_equal(one.out_of_fold, other.out_of_fold, equal_nan=True)
    assert np.isnan(one.out_of_fold[train]).all()
    assert one.parameters == other.parameters  # the number of rounds among them
    assert one.train_scores == other.train_scores
    assert one.scores != other.scores


def test_early_stopping_learns_from_the_rows_it_watches():
    rows = table(400, TWO)
    train, validation, stop = divided(rows)[0]
    wrong = rows.truth.copy()
    wrong[train[stop]] = 1 - wrong[train[stop]]
    rounds = []
    for truth in (rows.truth, wrong):
        each = replace(rows, truth=truth)
        fold = prepare(rows, [(train, validation, stop)], 0)
        trial = run_trial(KINDS["boosting"], KINDS["boosting"].defaults, each, fold, "log_loss", seed=0)
        rounds.append(trial.parameters["rounds"])
    assert rounds[0] > 5
    assert rounds[1] == 1  # each round makes the watched rows worse


def test_the_watched_rows_are_not_fitted_on():
    rows = table(300, TWO)
    (fold,) = prepare(rows, divided(rows)[:1], 0)
    part, kind = rows.take(fold.train), KINDS["boosting"]
    member = fit_member(kind, kind.defaults, part, fold.matrix, seed=0, stop=fold.stop)
    everything = fit_member(kind, member.parameters, part, fold.matrix, seed=0)
    unwatched = np.delete(np.arange(len(fold.train)), fold.stop)
    fewer = fit_member(kind, member.parameters, part.take(unwatched), fold.matrix[unwatched], seed=0)
    said = [each.predict(fold.validation_matrix, 2) for each in (member, fewer, everything)]
    assert np.array_equal(said[0], said[1])
    assert not np.array_equal(said[0], said[2])


def test_without_rows_to_watch_the_rounds_are_those_given():
    rows = table(150, TWO)
    (fold,) = prepare(rows, [(*divided(rows)[0][:2], np.empty(0, int))], 0)
    trial = run_trial(KINDS["boosting"], KINDS["boosting"].defaults, rows, [fold], "log_loss", seed=0)
    assert "rounds" not in trial.parameters


def test_a_class_that_only_watched_rows_hold_is_still_learnt():
    rows = table(300, THREE)
    (fold,) = prepare(rows, divided(rows)[:1], 0)
    truth = rows.truth.copy()
    truth[truth == 2] = 0
    truth[fold.train[fold.stop[:4]]] = 2
    part = replace(rows, truth=truth).take(fold.train)
    kind = KINDS["boosting"]
    member = fit_member(kind, kind.defaults, part, fold.matrix, seed=0, stop=fold.stop)
    assert member.classes.tolist() == [0, 1, 2]
    assert "rounds" not in member.parameters  # early stopping had to do without


def test_rows_of_one_class_say_so():
    rows = table(60, TWO)
    one = replace(rows, truth=np.zeros(60, dtype=np.int64))
    with pytest.raises(DataError, match="one class"):
        search(one, prepared(one), kinds=("tree",), metric="log_loss", trials=1, seconds=None, seed=0)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_count_for_every_kind(kind):
    rows = table(300, TWO)
    heavy = replace(rows, weights=np.where(rows.truth == 1, 20.0, 1.0))
    folds, each = prepared(rows)[:1], KINDS[kind]
    light, weighted = (run_trial(each, each.defaults, some, folds, "log_loss", seed=0) for some in (rows, heavy))
    assert np.nanmean(weighted.out_of_fold[:, 1]) > np.nanmean(light.out_of_fold[:, 1]) + 0.1
