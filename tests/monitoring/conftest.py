"""A stream of rows that knows its own truth, and the reference of a perfectly calibrated "model" of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mainspring.monitoring.observations import Rows
from mainspring.monitoring.profiles import Reference, build
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import Column, Columns, Schema, Target

CITIES = np.array([f"city {number}" for number in range(30)], dtype=object)
CITY_SHARES = 1 / np.arange(1, 31) / (1 / np.arange(1, 31)).sum()


def draw(n: int, seed: int, shift: float = 0.0, missing: float = 0.05, cities: np.ndarray = CITY_SHARES) -> Columns:
    """`shift` moves heat, in standard deviations; `missing` is the share of sizes that are missing."""
    random = np.random.default_rng(seed)
    size = random.lognormal(size=n)
    size[random.random(n) < missing] = np.nan
    return {
        "heat": random.normal(size=n) + shift,
        "rain": np.where(random.random(n) < 0.6, 0.0, random.gamma(1.0, 1.0, n)),  # six rows of ten are 0
        "size": size,
        "member": (random.random(n) < 0.3).astype(np.float64),
        "city": CITIES[random.choice(30, n, p=cities)],
    }


def answer(columns: Columns) -> Outputs:
    positive = 1 / (1 + np.exp(1.0 - 1.5 * columns["heat"] - columns["member"]))
    labels = np.where(positive >= 0.5, "true", "false").astype(object)
    return Outputs(labels=labels, probabilities=np.column_stack([1 - positive, positive]))


def truth_of(outputs: Outputs, seed: int) -> np.ndarray:
    assert outputs.probabilities is not None
    return (np.random.default_rng(seed).random(len(outputs)) < outputs.probabilities[:, 1]).astype(np.int64)


@pytest.fixture(scope="session")
def schema() -> Schema:
    features = (
        Column("heat", "number"),
        Column("rain", "number"),
        Column("size", "number", nullable=True),
        Column("member", "boolean"),
        Column("city", "category"),
    )
    return Schema(features, Target("late", (False, True)))


@pytest.fixture(scope="session")
def make_reference(schema: Schema) -> Callable[[str], Reference]:
    def make(metric: str) -> Reference:
        fit, held_out = draw(8000, 1), draw(3000, 2)
        outputs = answer(held_out)
        return build(
            schema,
            metric,
            fit=fit,
            fit_truth=truth_of(answer(fit), 3),
            held_out=held_out,
            outputs=outputs,
            truth=truth_of(outputs, 4),
            importance={"heat": 3.0, "member": 1.0},
        )

    return make


@pytest.fixture(scope="session")
def reference(make_reference: Callable[[str], Reference]) -> Reference:
    return make_reference("roc_auc")


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., Rows]:
    """Rows n, seed, labelled, and the changes that `draw` knows."""

    def make(n: int = 2000, seed: int = 10, *, labelled: bool = False, start: int = 0, **changes: object) -> Rows:
        columns = draw(n, seed, **changes)  # type: ignore[arg-type]
        outputs = answer(columns)
        truth = truth_of(outputs, seed + 1).astype(np.float64) if labelled else np.full(n, np.nan)
        return Rows(start + np.arange(n, dtype=np.int64), columns, outputs, truth)

    return make
