from __future__ import annotations

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from sklearn import datasets

from mainspring.errors import DataError
from mainspring.evaluation.metrics import score
from mainspring.registry.versions import Ingredient, Recipe
from mainspring.runtimes.onnx import OnnxRuntime
from mainspring.tasks import tabular
from mainspring.tasks.search import predictions

from . import tables

QUICK = 'candidates = ["linear", "tree", "blend"]\nbudget = 4\nfolds = 3\n'
REAL = {
    "iris": (datasets.load_iris, "classification", "accuracy", 0.93),
    "breast cancer": (datasets.load_breast_cancer, "classification", "roc_auc", 0.98),
    "wine": (datasets.load_wine, "classification", "accuracy", 0.95),
    "diabetes": (datasets.load_diabetes, "regression", "r2", 0.42),
}


def real(name: str) -> dict:
    load = REAL[name][0]()
    target = load.target_names[load.target] if REAL[name][1] == "classification" else load.target
    return {**dict(zip(load.feature_names, load.data.T, strict=True)), "y": target}


@pytest.fixture
def fit(tmp_path):
    def make(data, task="classification", more=QUICK) -> tabular.Fitted:
        return tabular.fit(*tables.dataset(tmp_path, data, task, more))

    return make


@pytest.mark.parametrize("name", REAL)
def test_real_tables_reach_what_is_known_of_them(fit, name):
    _, task, metric, least = REAL[name]
    fitted = fit(real(name), task, QUICK + f'metric = "{metric}"\n')
    reached = score(metric, fitted.out_of_fold_truth, fitted.out_of_fold)
    assert fitted.metric == metric
    assert reached > least
    turned = np.random.default_rng(0).permutation(fitted.out_of_fold_truth)
    assert score(metric, turned, fitted.out_of_fold) < 0.6  # the check can fail


def test_noise_is_not_learnt(fit):
    draw = np.random.default_rng(0)
    town = [f"town {number}" for number in draw.integers(100, size=500)]
    fitted = fit({"x": draw.normal(size=500), "town": town, "y": draw.integers(2, size=500)})
    assert abs(score("roc_auc", fitted.out_of_fold_truth, fitted.out_of_fold) - 0.5) < 0.1


def test_a_recipe_from_disk_is_fitted_anew_as_the_search_fitted_it(tmp_path):
    more = 'candidates = ["linear", "forest", "boosting", "blend"]\nbudget = 6\nfolds = 3\nseed = 3\n'
    dataset, spec = tables.dataset(tmp_path, real("breast cancer"), "classification", more)
    searched = tabular.fit(dataset, spec)
    kept = msgspec.json.decode(msgspec.json.encode(tabular.recipe_of(searched.search)), type=Recipe)
    assert kept == tabular.recipe_of(searched.search)
    assert len(kept.ingredients) > 1
    again = tabular.refit(dataset, spec, kept)
    # So few rows are all out of fold in both, and the same rows give the same model.
    assert again.model.to_onnx() == searched.model.to_onnx()
    assert tabular.recipe_of(again.search) == kept
    assert len(again.search.trials) == len(kept.ingredients)


def test_of_many_rows_the_last_folds_do_for_a_recipe(tmp_path):
    draw = np.random.default_rng(0)
    x = draw.normal(size=5000)
    data = {"x": x, "y": x + draw.normal(size=5000) > 0}
    dataset, spec = tables.dataset(tmp_path, data, "classification", 'candidates = ["linear"]\nbudget = 1\nfolds = 5\n')
    recipe = Recipe((Ingredient("linear", {"strength": 1.0}, 1.0),))
    assert len(tabular.refit(dataset, spec, recipe).out_of_fold_truth) == 2000  # two folds of a thousand
    few = dataset.take(np.arange(1500))
    assert len(tabular.refit(few, spec, recipe).out_of_fold_truth) == 1500  # all of them


def test_two_fits_are_the_same_file(fit):
    more = 'candidates = ["linear", "tree", "forest", "boosting", "blend"]\nbudget = 4\nfolds = 2\nseed = 3\n'
    data = {name: values[:80] for name, values in real("breast cancer").items()}
    one, other = fit(data, more=more), fit(data, more=more)
    assert one.model.to_onnx() == other.model.to_onnx()
    assert one.model.threshold == other.model.threshold
    assert np.array_equal(one.out_of_fold.probabilities, other.out_of_fold.probabilities)
    assert one.learning_curve == other.learning_curve


def test_another_seed_is_another_file(fit):
    """Other folds give another calibration."""
    data = {name: values[:80] for name, values in real("breast cancer").items()}
    one, other = (fit(data, more=f'candidates = ["linear"]\nbudget = 1\nseed = {seed}\n') for seed in (3, 4))
    assert one.model.to_onnx() != other.model.to_onnx()


@pytest.mark.parametrize(
    ("labels", "task", "metric"),
    [
        ([0, 1], "classification", "roc_auc"),
        (["a", "b", "c"], "classification", "log_loss"),
        ([], "regression", "rmse"),
    ],
)
def test_better_means_by_default(tmp_path, labels, task, metric):
    draw = np.random.default_rng(0)
    target = draw.choice(labels, size=60) if labels else draw.normal(size=60)
    found, spec = tables.dataset(tmp_path, {"x": draw.normal(size=60), "y": target}, task)
    assert tabular.metric_of(spec, found.schema) == metric


def test_the_threshold_is_chosen_for_the_metric(fit):
    draw = np.random.default_rng(1)
    x = draw.normal(size=600)
    data = {"x": x, "y": x + draw.normal(size=600) > 1.6}
    thresholds = {}
    for metric in ("accuracy", "f1", "log_loss"):
        fitted = fit(data, more=QUICK + f'metric = "{metric}"\n')
        thresholds[metric] = fitted.model.threshold
        called = fitted.out_of_fold.values
        assert (
            called.tolist() == (fitted.out_of_fold.probabilities[:, 1] >= fitted.model.threshold).astype(int).tolist()
        )
    assert thresholds["log_loss"] == 0.5
    assert thresholds["f1"] < thresholds["accuracy"]


def test_what_is_served_is_calibrated(fit):
    fitted = fit(real("breast cancer"))
    raw = fitted.search.out_of_fold
    before = score("log_loss", fitted.out_of_fold_truth, predictions(raw, 2))
    assert score("log_loss", fitted.out_of_fold_truth, fitted.out_of_fold) <= before + 1e-6
    assert fitted.model.calibration.apply(raw) == pytest.approx(fitted.out_of_fold.probabilities, abs=1e-12)


def test_regression_is_neither_calibrated_nor_decided(fit):
    fitted = fit(real("diabetes"), "regression")
    assert fitted.model.calibration is None
    assert fitted.model.threshold is None
    assert fitted.out_of_fold.probabilities is None


def test_balanced_classes_find_more_of_the_rare_one_before_calibration(fit):
    draw = np.random.default_rng(2)
    x = draw.normal(size=(800, 2))
    data = {"a": x[:, 0], "b": x[:, 1], "y": x[:, 0] + draw.normal(size=800) > 2}
    rare = np.array(data["y"])
    plain, balanced = (fit(data, more=QUICK + more) for more in ("", 'class_weight = "balanced"\n'))

    def recall(fitted: tabular.Fitted) -> float:
        return float((fitted.search.out_of_fold[rare].argmax(axis=1) == 1).mean())

    assert recall(balanced) > recall(plain) + 0.2
    # and calibration brings the probabilities back to how often it is
    assert balanced.search.out_of_fold[:, 1].mean() > rare.mean() + 0.1
    assert balanced.out_of_fold.probabilities[:, 1].mean() == pytest.approx(rare.mean(), abs=0.02)


def test_the_learning_curve_grows(fit):
    curve = fit(real("breast cancer")).learning_curve
    rows = [point.rows for point in curve]
    assert len(curve) == 5
    assert rows == sorted(set(rows))
    assert rows[-1] == pytest.approx(569 * 2 / 3, abs=2)
    assert all(len(point.validation) == 2 for point in curve)
    assert np.mean(curve[-1].validation) > np.mean(curve[0].validation) - 0.01


def test_the_learning_curve_of_few_rows_has_no_point_twice(fit):
    data = {name: values[45:75] for name, values in real("iris").items()}
    rows = [point.rows for point in fit(data).learning_curve]
    assert rows == sorted(set(rows))
    assert rows


def test_groups_are_not_torn(fit):
    """Each group has a target of its own, and a column that gives the group away: that must not help."""
    draw = np.random.default_rng(0)
    group = np.repeat(np.arange(60), 10)
    given_away = draw.normal(size=60)[group]
    data = {"x": given_away, "y": draw.integers(2, size=60)[group], "who": [f"g{number}" for number in group]}
    more = 'candidates = ["tree"]\nbudget = 1\nfolds = 3\n'
    torn = fit(data, more='exclude = ["who"]\n' + more)
    whole = fit(data, more='group = "who"\n' + more)
    assert score("roc_auc", torn.out_of_fold_truth, torn.out_of_fold) > 0.8
    assert score("roc_auc", whole.out_of_fold_truth, whole.out_of_fold) < 0.65


def test_time_is_not_turned_back(fit):
    draw = np.random.default_rng(0)
    rows = 400
    order = draw.permutation(rows)
    data = {
        "x": draw.normal(size=rows),
        "at": pa.array(order * tables.DAY, pa.timestamp("us")),
        "y": draw.integers(2, size=rows),
    }
    fitted = fit(data, more='time = "at"\n' + QUICK)
    judged = ~np.isnan(fitted.search.out_of_fold[:, 0])
    assert 0 < judged.sum() < rows
    assert order[judged].min() > order[~judged].max()  # the oldest rows are only learnt from
    assert len(fitted.out_of_fold_truth) == judged.sum()


@pytest.mark.parametrize("quiet", ["first", "last"])
def test_a_quiet_time_is_no_obstacle(fit, quiet):
    draw = np.random.default_rng(0)
    x = draw.normal(size=200)
    positive = x + 0.5 * draw.normal(size=200) > 0
    positive[: 70 if quiet == "first" else 0] = False
    positive[130 if quiet == "last" else 200 :] = False
    data = {"x": x, "at": pa.array(np.arange(200) * tables.DAY, pa.timestamp("us")), "y": positive}
    fitted = fit(data, more='time = "at"\n' + QUICK)
    assert len(fitted.search.trials[0].scores) == 2  # of three folds, one has but one class to learn or to judge by
    assert score("roc_auc", fitted.out_of_fold_truth, fitted.out_of_fold) > 0.75


def test_classes_that_never_meet_say_so(fit):
    data = {
        "x": np.arange(100.0) % 7,
        "at": pa.array(np.arange(100) * tables.DAY, pa.timestamp("us")),
        "y": np.arange(100) >= 97,
    }
    with pytest.raises(DataError, match=r"no fold has two classes of 'y'.*`time`"):
        fit(data, more='time = "at"\n' + QUICK)


def prose(rows: int, usual: bool) -> list[str]:
    draw = np.random.default_rng(0)
    words = ["one", "two", "three", "four", "five", "six"] if usual else [f"w{number}" for number in range(5000)]
    return [" ".join(draw.choice(words, size=6)) for _ in range(rows)]


def test_words_are_learnt_from(fit):
    texts = prose(120, usual=True)
    fitted = fit({"prose": texts, "y": ["six" in text for text in texts]})
    assert score("roc_auc", fitted.out_of_fold_truth, fitted.out_of_fold) > 0.95


@pytest.mark.parametrize("usual", [True, False])
def test_the_graph_takes_every_column_of_the_schema(fit, usual):
    """Also one of text that no model can learn from."""
    x = np.random.default_rng(0).normal(size=60)
    fitted = fit({"prose": prose(60, usual), "x": x, "y": x > 0})
    runtime = OnnxRuntime(fitted.model.to_onnx(), fitted.model.schema)
    asked = {"prose": np.array(["one w7", ""], object), "x": np.array([1.0, -1.0])}
    assert runtime.predict(asked).labels.tolist() == ["true", "false"]


def test_many_rows_are_searched_in_part_and_fitted_in_full(fit, monkeypatch):
    monkeypatch.setattr(tabular, "SEARCH_ROWS", 200)
    draw = np.random.default_rng(0)
    x = draw.normal(size=500)
    data = {"x": x, "y": x + draw.normal(size=500)}
    fitted = fit(data, "regression", 'candidates = ["linear"]\nbudget = 1\nfolds = 2\n')
    assert len(fitted.search.out_of_fold) == len(fitted.out_of_fold_truth) == 200
    slope = fitted.model.members[0].estimator["model"].coef_[0] / x.std()
    assert slope == pytest.approx(np.polyfit(x, data["y"], 1)[0], rel=0.01)


def test_progress_is_told(tmp_path):
    heard = []
    found = tables.dataset(tmp_path, real("iris"), more=QUICK)
    tabular.fit(*found, progress=lambda trial, best: heard.append(trial.kind))
    assert heard[:2] == ["linear", "tree"]
