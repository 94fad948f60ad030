from __future__ import annotations

import time

import numpy as np
import pytest

from mainspring.data.leaks import find_leaks
from mainspring.schema import MISSING_TIME, Column, Target

N = 2_000
DRAW = np.random.default_rng(0)
LABELS = Target("y", ("a", "b", "c"))
NUMBER = Target("y")


def found(values, kind, truth, target):
    return find_leaks({"x": values}, (Column("x", kind),), truth, target)


CODES = DRAW.integers(0, 3, N)
PRICES = DRAW.lognormal(0, 2, N)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("number", CODES * 10.0),
        ("category", np.array(["x", "y", "z"], object)[CODES]),
        ("time", CODES * 1_000_000),
        ("number", np.where(CODES == 2, np.nan, CODES)),
        ("time", np.where(CODES == 2, MISSING_TIME, CODES)),
        ("category", np.array(["", "y", "z"], object)[CODES]),
    ],
)
def test_a_feature_that_tells_the_label_is_found(kind, values):
    (leak,) = found(values, kind, CODES, LABELS)
    assert leak.name == "x"
    assert leak.explained == pytest.approx(1)


@pytest.mark.parametrize("values", [PRICES * 1.2, -(PRICES**3), np.log(PRICES) + DRAW.normal(0, 0.1, N)])
def test_a_feature_that_tells_the_number_is_found(values):
    (leak,) = found(values, "number", PRICES, NUMBER)
    assert 0.95 <= leak.explained <= 1


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("number", DRAW.normal(size=N)),
        ("category", np.array([f"id{row}" for row in range(N)], object)),  # tells every row apart, and nothing else
        ("text", np.array([f"the text of row {row}" for row in range(N)], object)),
        ("number", np.full(N, np.nan)),
        ("category", np.array(["x", "y", "z"], object)[np.where(DRAW.random(N) < 0.1, DRAW.integers(0, 3, N), CODES)]),
    ],
)
def test_what_is_useful_or_useless_is_no_leak(kind, values):
    assert found(values, kind, CODES, LABELS) == []
    assert found(values, kind, PRICES, NUMBER) == []


def test_the_measure_is_that_of_one_hot_truth():
    """Against the definition, written out."""
    from mainspring.data.leaks import _explained_labels, _explained_numbers

    bins, learned = DRAW.integers(0, 20, N), np.arange(N) < N // 2
    truth = np.where(DRAW.random(N) < 0.5, bins % 3, DRAW.integers(0, 3, N))
    one_hot = np.eye(3)[truth]
    means = np.stack([one_hot[learned & (bins == one)].mean(axis=0) for one in range(20)])
    error = ((one_hot - means[bins])[~learned] ** 2).sum()
    spread = ((one_hot - one_hot[~learned].mean(axis=0))[~learned] ** 2).sum()
    assert _explained_labels(bins, truth, learned) == pytest.approx(1 - error / spread, abs=1e-12)
    number = bins + DRAW.normal(size=N)
    means = np.array([number[learned & (bins == one)].mean() for one in range(20)])
    error = ((number - means[bins])[~learned] ** 2).sum()
    spread = ((number - number[~learned].mean())[~learned] ** 2).sum()
    assert _explained_numbers(bins, number, learned) == pytest.approx(1 - error / spread, abs=1e-12)


def test_the_worst_comes_first():
    columns = {"good": PRICES + DRAW.normal(0, 0.01, N), "exact": PRICES, "noise": DRAW.normal(size=N)}
    leaks = find_leaks(columns, tuple(Column(name, "number") for name in columns), PRICES, NUMBER)
    assert [leak.name for leak in leaks] == ["exact", "good"]


def test_many_rows_are_quick():
    columns = {f"x{place}": DRAW.normal(size=330_000) for place in range(15)}
    start = time.process_time()
    features = tuple(Column(name, "number") for name in columns)
    assert find_leaks(columns, features, DRAW.integers(0, 2, 330_000), LABELS) == []
    assert time.process_time() - start < 2
