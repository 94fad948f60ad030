from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from mainspring.evaluation import curves
from mainspring.lifecycle.report import (
    CrossValidation,
    DataSection,
    Importance,
    LearningLine,
    Report,
    TrialLine,
)
from mainspring.lifecycle.report_page import render

HOSTILE = """</svg><script>alert("1")</script>&'$x_1$\x00\n<img src=x onerror=alert(1)>"""
SECTIONS = ["data", "search", "cross-validation", "held-out", "importance", "parity", "verdict"]


def estimate(value: float, half: float, method: str = "bootstrap (BCa, 2000 resamples)") -> dict:
    return {"value": value, "low": value - half, "high": value + half, "method": method}


def verdict(decision: str, against: str, metric: str, champion: float, challenger: float, **more: float) -> dict:
    comparison = {
        "metric": metric,
        "champion": champion,
        "challenger": challenger,
        "test": "DeLong" if metric == "roc_auc" else "paired bootstrap (studentised)",
        "rows": 9214,
        "clusters": 100,
        "significance": 0.05,
        "confidence": 0.9,
        **more,
    }
    reason = (
        f"{metric} {challenger:.4g} against {champion:.4g} on 9214 rows in 100 clusters, a gain of "
        f"{more['difference']:.3g} (90% interval {more['low']:.3g} to {more['high']:.3g}); better by more than the "
        f"margin of {more['margin']:g} (p = {more['p_better']:.2g} ≤ 0.05, {comparison['test']})"
    )
    return {"decision": decision, "reason": reason, "comparison": comparison, "against": against}


def binary_report() -> Report:
    random = np.random.default_rng(0)
    scores = random.beta(1.6, 5.5, 9214)
    truth = (random.random(9214) < np.clip(scores * 1.05 - 0.01, 0, 1)).astype(int)
    confusion = curves.confusion_matrix(truth, (scores >= 0.242).astype(int), 2)
    boosting = {"rate": 0.0472, "depth": 6, "child": 12.4, "rows": 0.83, "columns": 0.61, "shrink": 3.2, "rounds": 412}
    trials = [
        TrialLine("boosting", boosting, 0.7421, 0.0061, 0.7893, 41.3, 0.667),
        TrialLine("boosting", boosting | {"depth": 8, "rounds": 268}, 0.7414, 0.0058, 0.8011, 52.9, 0.0),
        TrialLine("forest", {"leaf": 8, "share": 0.41}, 0.7362, 0.0064, 0.8321, 63.0, 0.333),
        TrialLine("boosting", boosting | {"depth": 3, "rounds": 988}, 0.7391, 0.0059, 0.7618, 30.2, 0.0),
        TrialLine("forest", {"leaf": 31, "share": 0.77}, 0.7318, 0.0066, 0.7795, 71.4, 0.0),
        TrialLine("tree", {"depth": 8, "leaf": 60}, 0.7043, 0.0071, 0.7211, 2.4, 0.0),
        TrialLine("tree", {"depth": 14, "leaf": 3}, 0.6512, 0.0102, 0.8904, 3.1, 0.0),
        TrialLine("linear", {"strength": 1.0}, 0.6931, 0.0055, 0.6948, 4.7, 0.0),
        TrialLine("linear", {"strength": 812.4}, 0.6925, 0.0055, 0.6939, 4.2, 0.0),
        TrialLine("tree", {"depth": 5, "leaf": 20}, 0.6907, 0.0068, 0.6958, 1.6, 0.0),
    ]
    features = {
        "departs_at": "time",
        "carrier": "category",
        "origin": "category",
        "destination": "category",
        "aircraft": "category",
        "distance": "number",
        "scheduled_minutes": "number",
        "wind_speed": "number",
        "visibility": "number",
        "pressure": "number",
        "seats": "number",
        "wet": "boolean",
    }
    importance = [
        Importance(name, 0.06 * 0.68**place - 0.0006, 0.06 * 0.6**place - 0.002, 0.06 * 0.72**place + 0.001)
        for place, name in enumerate(features)
    ]
    return Report(
        project="airdesk",
        model="delay",
        version="4",
        task="classification",
        created="2026-03-02T08:41:17+00:00",
        target="late",
        labels=["on time", "late"],
        metric="roc_auc",
        greater_is_better=True,
        candidate="blend",
        threshold=0.242,
        data=DataSection(
            rows=46071,
            fit_rows=36857,
            holdout_rows=9214,
            split="time",
            features=features,
            notes=[
                "1,204 rows without a value of late were left out.",
                "arrives_at was dropped: it is known only after the flight (its own ROC AUC is 0.999).",
                "tail_number was dropped: an identifier, with 3,816 different values.",
            ],
        ),
        trials=trials,
        pruned=6,
        seconds=438.2,
        cross_validation=CrossValidation(
            5, "expanding window in time", [0.7312, 0.7398, 0.7421, 0.7442, 0.7436], 0.7402, 0.0053, 0.8036, 0.0634
        ),
        learning_curve=[
            LearningLine(3600, 0.914, 0.6931, 0.6893, 0.6969),
            LearningLine(7200, 0.883, 0.7102, 0.7071, 0.7133),
            LearningLine(14400, 0.851, 0.7254, 0.7229, 0.7279),
            LearningLine(29000, 0.809, 0.7402, 0.7386, 0.7418),
        ],
        holdout={
            "accuracy": estimate(0.7031, 0.0093),
            "roc_auc": estimate(0.7437, 0.0118, "DeLong, in clusters (cluster bootstrap, 2000 resamples)"),
            "average_precision": estimate(0.4312, 0.0181),
            "log_loss": estimate(0.4721, 0.0104),
            "brier": estimate(0.1512, 0.0041),
            "f1": estimate(0.4633, 0.0132),
        },
        baseline={
            "roc_auc": estimate(0.5, 0.0),
            "accuracy": estimate(0.7763, 0.0085),
            "average_precision": estimate(0.2237, 0.0084),
            "log_loss": estimate(0.5318, 0.0117),
            "brier": estimate(0.1737, 0.0049),
            "f1": {"value": 0.0, "low": 0.0, "high": 0.0, "method": "none"},
        },
        curves={
            "roc": curves.roc_curve(truth, scores).as_dict(),
            "precision_recall": curves.precision_recall_curve(truth, scores).as_dict(),
            "calibration": curves.calibration_curve(truth, scores).as_dict(),
            "expected_calibration_error": 0.0087,
            "confusion": confusion.tolist(),
        },
        importance=importance,
        parity={"rows": 256, "max_difference": 2.9e-7, "tolerance": 1e-5, "disagreements": 0},
        verdict=verdict(
            "promote",
            "version 3",
            "roc_auc",
            0.7311,
            0.7437,
            difference=0.0126,
            low=0.0081,
            high=0.0172,
            margin=0.002,
            p_better=0.00021,
            p_not_better=0.9998,
        ),
    )


def classes_report(labels: tuple[str, ...] = ("setosa", "versicolor", "virginica")) -> Report:
    random = np.random.default_rng(1)
    size = len(labels)
    confusion = random.integers(0, 9, (size, size)) + np.diag(random.integers(60, 140, size))
    return msgspec.structs.replace(
        binary_report(),
        project="garden",
        model="species",
        version="1",
        target="species",
        labels=list(labels),
        metric="log_loss",
        greater_is_better=False,
        candidate="linear",
        threshold=None,
        data=DataSection(1500, 1200, 300, "hash", {"sepal_length": "number", "petal_length": "number"}, []),
        trials=[
            TrialLine("linear", {"strength": 0.81}, 0.3124, 0.0212, 0.2981, 0.6, 1.0),
            TrialLine("tree", {"depth": 4, "leaf": 12}, 0.4417, 0.0504, 0.3705, 0.2, 0.0),
        ],
        pruned=0,
        seconds=3.4,
        cross_validation=CrossValidation(
            5, "stratified by content", [0.302, 0.331, 0.29, 0.341, 0.298], 0.3124, 0.0221, 0.2981, 0.0143
        ),
        learning_curve=[
            LearningLine(192, 0.214, 0.402, 0.381, 0.431),
            LearningLine(480, 0.271, 0.335, 0.311, 0.352),
            LearningLine(960, 0.298, 0.3124, 0.294, 0.33),
        ],
        holdout={"log_loss": estimate(0.3211, 0.0391), "accuracy": estimate(0.893, 0.035)},
        baseline={"log_loss": estimate(1.0986, 0.003), "accuracy": estimate(0.34, 0.053)},
        curves={"confusion": confusion.tolist(), "expected_calibration_error": 0.021},
        importance=[Importance("petal_length", 0.61, 0.52, 0.7), Importance("sepal_length", -0.004, -0.02, 0.01)],
        verdict=verdict(
            "insufficient evidence",
            "baseline",
            "log_loss",
            1.0986,
            0.3211,
            difference=0.7775,
            low=0.741,
            high=0.812,
            margin=0.0,
            p_better=1e-9,
            p_not_better=1.0,
        ),
    )


def regression_report() -> Report:
    random = np.random.default_rng(2)
    truth = np.exp(random.normal(12.4, 0.45, 4000))
    predicted = truth * np.exp(random.normal(-0.01, 0.14, 4000))
    residuals = predicted - truth
    low, high = np.quantile(residuals, [0.005, 0.995])
    counts, edges = np.histogram(np.clip(residuals, low, high), bins=40)
    return msgspec.structs.replace(
        binary_report(),
        project="homes",
        model="price",
        version="12",
        task="regression",
        target="price",
        labels=[],
        metric="rmse",
        greater_is_better=False,
        candidate="boosting",
        threshold=None,
        trials=[
            TrialLine("boosting", {"rate": 0.05, "depth": 6}, 47112.0, 1311.0, 38120.0, 12.9, 1.0),
            TrialLine("linear", {"strength": 1.0}, 61870.0, 1602.0, 61544.0, 0.8, 0.0),
        ],
        cross_validation=CrossValidation(
            5, "grouped", [46012.0, 48911.0, 45803.0, 47230.0, 47604.0], 47112.0, 1274.0, 38120.0, 8992.0
        ),
        learning_curve=[
            LearningLine(1600, 29000.0, 58200.0, 55900.0, 60500.0),
            LearningLine(6400, 34800.0, 49100.0, 47700.0, 50500.0),
            LearningLine(12800, 38120.0, 48212.0, 46912.0, 49512.0),
        ],
        holdout={
            "rmse": estimate(46890.0, 2113.0),
            "mae": estimate(31240.0, 901.0),
            "r2": estimate(0.874, 0.013),
            "mape": estimate(0.112, 0.003),
        },
        baseline={"rmse": estimate(131900.0, 4020.0), "mae": estimate(92110.0, 2400.0), "r2": estimate(-0.0012, 0.001)},
        curves={
            "residuals": {
                "edges": edges.tolist(),
                "counts": counts.tolist(),
                "mean": float(residuals.mean()),
                "spread": float(residuals.std()),
                "quantiles": {str(level): float(np.quantile(residuals, level)) for level in (0.05, 0.5, 0.95)},
            },
            "predicted": {"truth": truth[:500].tolist(), "predicted": predicted[:500].tolist()},
        },
        verdict=verdict(
            "reject",
            "version 11",
            "rmse",
            46310.0,
            46890.0,
            difference=-580.0,
            low=-1090.0,
            high=-72.0,
            margin=0.0,
            p_better=0.97,
            p_not_better=0.031,
        ),
    )


REPORTS = {"binary": binary_report, "classes": classes_report, "regression": regression_report}
