from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from mainspring import spec
from mainspring.data.dataset import Dataset, load
from mainspring.spec import Project


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Project]:
    """A project in a temporary folder with one model "m"; further keys as TOML text."""

    def make(data: str, target: str = "y", task: str = "classification", more: str = "") -> Project:
        text = f'[project]\nname = "p"\n[models.m]\ntask = "{task}"\ndata = "{data}"\ntarget = "{target}"\n{more}\n'
        return spec.parse(text, tmp_path)

    return make


@pytest.fixture
def load_table(tmp_path: Path, project: Callable[..., Project]) -> Callable[..., Dataset]:
    """The dataset of a table, by way of a Parquet file."""

    def make(table: pa.Table | dict, task: str = "classification", more: str = "") -> Dataset:
        table = pa.table(table) if isinstance(table, dict) else table
        pa.parquet.write_table(table, tmp_path / "table.parquet")
        return load(project("table.parquet", task=task, more=more), "m")

    return make


@pytest.fixture
def customers() -> pa.Table:
    """300 made-up customers: a number, a category, a time, a household, and whether they left."""
    draw = random.Random(1)
    rows = 300
    return pa.table(
        {
            "age": [draw.gauss(40, 12) for _ in range(rows)],
            "plan": [draw.choice(["basic", "plus", "gold"]) for _ in range(rows)],
            "joined": pa.array([draw.randrange(200) * 86_400_000_000 for _ in range(rows)], pa.timestamp("us")),
            "household": [f"h{draw.randrange(60)}" for _ in range(rows)],
            "y": [draw.random() < 0.3 for _ in range(rows)],
        }
    )
