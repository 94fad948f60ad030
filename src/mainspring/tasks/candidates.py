"""The kinds of model that are tried, one entry each: what it is, what is searched, how it becomes ONNX.

An estimator is fitted on the featurizer's float32 matrix. A kind says
  defaults   the parameters that are tried first
  suggest    the range that Optuna searches
  build      the unfitted estimator
  add_to     the fitted estimator as ONNX nodes: (n, classes) probabilities or (n, 1) values, as double
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mainspring.errors import require
from mainspring.tasks.graph import OPSETS, GraphBuilder

if TYPE_CHECKING:
    import optuna

Parameters = dict[str, Any]

# A forest of unbounded trees on 300,000 rows is a file of gigabytes and takes minutes to fit; with these bounds it is
# at most some 10 MB, and what a tree is not shown the others see.
_FOREST_TREES = 80
_FOREST_LEAVES = 1000
_FOREST_ROWS_A_TREE = 10_000
_MOST_ROUNDS = 1500
_PATIENCE = 40
THREADS = os.cpu_count() or 1


@dataclass(frozen=True)
class Kind:
    """A kind of candidate.

    `rounds` says whether it is fitted in rounds that can be stopped early, `precision` in which type it computes,
    `weights` what its `fit` calls the rows' weights, and `rows_a_tree` how many rows each of its trees sees at most.
    """

    name: str
    defaults: Parameters
    suggest: Callable[[optuna.Trial], Parameters]
    build: Callable[[bool, Parameters, int], Any]
    add_to: Callable[[Any, GraphBuilder, str], str]
    rounds: bool = False
    precision: type = np.float32
    weights: str = "sample_weight"
    rows_a_tree: int | None = None


def fit(kind: Kind, estimator: Any, matrix: np.ndarray, truth: np.ndarray, weights: np.ndarray | None) -> None:
    """Fit on all rows."""
    if kind.rows_a_tree and len(matrix) > kind.rows_a_tree:
        estimator.set_params(max_samples=kind.rows_a_tree)
    estimator.fit(matrix.astype(kind.precision, copy=False), truth, **{kind.weights: weights})
    if kind.rows_a_tree:  # asked in threads, a forest adds its trees up in any order, and the last bit is chance
        estimator.set_params(n_jobs=1)


def fit_with_early_stopping(
    estimator: Any, fit_on: tuple[np.ndarray, np.ndarray, np.ndarray | None], stop_on: tuple[np.ndarray, np.ndarray]
) -> int:
    """Fit in rounds until `stop_on` gets no better; the best number of rounds."""
    matrix, truth, weights = fit_on
    estimator.set_params(n_estimators=_MOST_ROUNDS, early_stopping_rounds=_PATIENCE)
    estimator.fit(matrix, truth, sample_weight=weights, eval_set=[stop_on], verbose=False)
    return int(estimator.best_iteration) + 1


def predict(kind: Kind, estimator: Any, matrix: np.ndarray) -> np.ndarray:
    """(n, classes) probabilities or (n, 1) values, float64."""
    matrix = matrix.astype(kind.precision, copy=False)
    if hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict_proba(matrix), dtype=np.float64)
    return np.asarray(estimator.predict(matrix), dtype=np.float64).reshape(-1, 1)


# Linear and logistic regression ------------------------------------------------------------------------------------


class BoundedRidge(Ridge):
    """Ridge regression that answers within the range of its targets, for a line runs on for ever."""

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> BoundedRidge:
        """As Ridge."""
        super().fit(X, y, sample_weight)
        self.range_ = float(np.min(y)), float(np.max(y))
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """As Ridge, but never beyond `range_`."""
        return np.clip(super().predict(X), *self.range_)


def _suggest_linear(trial: optuna.Trial) -> Parameters:
    return {"strength": trial.suggest_float("linear.strength", 1e-4, 1e4, log=True)}


def _build_linear(classes: bool, parameters: Parameters, seed: int) -> Any:
    strength = parameters["strength"]
    model = LogisticRegression(C=1 / strength, max_iter=500) if classes else BoundedRidge(alpha=strength)
    return Pipeline([("scale", StandardScaler()), ("model", model)])


def _linear_to_onnx(pipeline: Pipeline, graph: GraphBuilder, matrix: str) -> str:
    scaler, model = pipeline["scale"], pipeline["model"]
    coefficients = np.atleast_2d(model.coef_) / scaler.scale_  # scaling folded in: (x - m) / s · c = (x - m) · (c / s)
    centred = graph.node("Sub", graph.cast(matrix, "double"), graph.constant(scaler.mean_[None, :], "double"))
    scores = graph.node("MatMul", centred, graph.constant(coefficients.T, "double"))
    scores = graph.node("Add", scores, graph.constant(np.atleast_1d(model.intercept_)[None, :], "double"))
    if isinstance(model, BoundedRidge):
        return graph.node("Clip", scores, *(graph.constant(bound, "double") for bound in model.range_))
    if len(model.classes_) == 2:  # two classes have one score; the other's is zero
        scores = graph.node("MatMul", scores, graph.constant([[0.0, 1.0]], "double"))
    return graph.node("Softmax", scores, axis=1)


# Trees and forests -------------------------------------------------------------------------------------------------


def _suggest_tree(trial: optuna.Trial) -> Parameters:
    return {
        "depth": trial.suggest_int("tree.depth", 2, 14),
        "leaf": trial.suggest_int("tree.leaf", 2, 200, log=True),
    }


def _build_tree(classes: bool, parameters: Parameters, seed: int) -> Any:
    kind = DecisionTreeClassifier if classes else DecisionTreeRegressor
    return kind(max_depth=parameters["depth"], min_samples_leaf=parameters["leaf"], random_state=seed)


def _suggest_forest(trial: optuna.Trial) -> Parameters:
    return {
        "leaf": trial.suggest_int("forest.leaf", 1, 50, log=True),
        "share": trial.suggest_float("forest.share", 0.1, 1.0),
    }


def _build_forest(classes: bool, parameters: Parameters, seed: int) -> Any:
    return (RandomForestClassifier if classes else RandomForestRegressor)(
        n_estimators=_FOREST_TREES,
        max_leaf_nodes=_FOREST_LEAVES,
        min_samples_leaf=parameters["leaf"],
        max_features=parameters["share"],
        n_jobs=THREADS,
        random_state=seed,
    )


def _trees_to_onnx(estimator: Any, graph: GraphBuilder, matrix: str) -> str:
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    classes = hasattr(estimator, "predict_proba")
    model = skl2onnx.convert_sklearn(
        estimator,
        initial_types=[("matrix", FloatTensorType([None, estimator.n_features_in_]))],
        options={id(estimator): {"zipmap": False}} if classes else None,
        target_opset=OPSETS,
    )
    return _inline(graph, model, matrix, classes)


# Gradient boosting -------------------------------------------------------------------------------------------------


def _suggest_boosting(trial: optuna.Trial) -> Parameters:
    return {
        "rate": trial.suggest_float("boosting.rate", 0.015, 0.3, log=True),
        "depth": trial.suggest_int("boosting.depth", 2, 10),
        "child": trial.suggest_float("boosting.child", 0.5, 50.0, log=True),
        "rows": trial.suggest_float("boosting.rows", 0.5, 1.0),
        "columns": trial.suggest_float("boosting.columns", 0.3, 1.0),
        "shrink": trial.suggest_float("boosting.shrink", 1e-2, 30.0, log=True),
    }


def _build_boosting(classes: bool, parameters: Parameters, seed: int) -> Any:
    xgboost = require("xgboost", "tabular")
    return (xgboost.XGBClassifier if classes else xgboost.XGBRegressor)(
        learning_rate=parameters["rate"],
        max_depth=parameters["depth"],
        min_child_weight=parameters["child"],
        subsample=parameters["rows"],
        colsample_bytree=parameters["columns"],
        reg_lambda=parameters["shrink"],
        n_estimators=parameters.get("rounds", 100),
        tree_method="hist",
        n_jobs=THREADS,
        random_state=seed,
    )


def _boosting_to_onnx(estimator: Any, graph: GraphBuilder, matrix: str) -> str:
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    model = onnxmltools.convert_xgboost(
        estimator,
        initial_types=[("matrix", FloatTensorType([None, estimator.n_features_in_]))],
        target_opset=OPSETS[""],
    )
    return _inline(graph, model, matrix, hasattr(estimator, "predict_proba"))


def _inline(graph: GraphBuilder, model: onnx.ModelProto, matrix: str, classes: bool) -> str:
    """A classifier's second output is its probabilities; a regressor has but one."""
    return graph.cast(graph.inline(model, matrix, output=1 if classes else 0), "double")


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "linear",
            {"strength": 1.0},
            _suggest_linear,
            _build_linear,
            _linear_to_onnx,
            precision=np.float64,
            weights="model__sample_weight",
        ),
        Kind("tree", {"depth": 6, "leaf": 20}, _suggest_tree, _build_tree, _trees_to_onnx),
        Kind(
            "forest",
            {"leaf": 3, "share": 0.4},
            _suggest_forest,
            _build_forest,
            _trees_to_onnx,
            rows_a_tree=_FOREST_ROWS_A_TREE,
        ),
        Kind(
            "boosting",
            {"rate": 0.05, "depth": 4, "child": 3.0, "rows": 0.8, "columns": 0.4, "shrink": 1.0},
            _suggest_boosting,
            _build_boosting,
            _boosting_to_onnx,
            rounds=True,
        ),
    )
}
