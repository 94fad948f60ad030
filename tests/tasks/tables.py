"""Small made-up tables with a column of every kind, and the way through files that real data takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from mainspring import spec
from mainspring.data.dataset import Dataset, load
from mainspring.schema import MISSING_TEXT, MISSING_TIME, Column, Columns, Label, Schema, Target
from mainspring.spec import TabularSpec
from mainspring.tasks.search import Rows

DAY = 86_400 * 1_000_000

FEATURES = (
    Column("size", "number", nullable=True),
    Column("price", "number"),
    Column("member", "boolean", nullable=True),
    Column("plan", "category", nullable=True),
    Column("town", "category"),
    Column("seen", "time", nullable=True),
)


def columns(rows: int, seed: int = 0) -> Columns:
    """A column of each kind, most with holes; `town` has too many levels for one-hot."""
    draw = np.random.default_rng(seed)
    size = draw.normal(size=rows)
    member = draw.integers(2, size=rows).astype(np.float64)
    plan = draw.choice(np.array(["basic", "plus", "gold ✈", "Ünïcödé"], object), size=rows)
    seen = draw.integers(0, 20_000, size=rows) * DAY + draw.integers(DAY, size=rows)
    for column, hole in ((size, np.nan), (member, np.nan), (plan, MISSING_TEXT), (seen, MISSING_TIME)):
        column[draw.random(rows) < 0.1] = hole
    town = np.array([f"town {number}" for number in draw.integers(40, size=rows)], object)
    price = np.exp(draw.normal(3, 1, size=rows))
    return {"size": size, "price": price, "member": member, "plan": plan, "town": town, "seen": seen}


def signal(made: Columns) -> np.ndarray:
    """What the target is made of: (n,), about standard normal."""
    size, member = np.nan_to_num(made["size"]), np.nan_to_num(made["member"])
    town = np.array([int(name.split()[1]) for name in made["town"]]) / 20 - 1
    return (size + member + town + 0.3 * np.log(made["price"]) - 1.4) / 1.4


def table(rows: int, labels: tuple[Label, ...], seed: int = 0) -> Rows:
    """`rows` rows for classification into `labels`, or regression where there are none."""
    made = columns(rows, seed)
    score = signal(made) + np.random.default_rng(seed + 1).normal(0, 0.7, size=rows)
    truth = score * 40 + 100
    if labels:
        truth = np.searchsorted(np.quantile(score, np.linspace(0, 1, len(labels) + 1)[1:-1]), score)
    return Rows(Schema(FEATURES, Target("y", labels)), made, truth, None)


def dataset(
    folder: Path, data: dict | pa.Table, task: str = "classification", more: str = ""
) -> tuple[Dataset, TabularSpec]:
    """The dataset of a table with the target `y`, and the spec, by way of files."""
    pa.parquet.write_table(pa.table(data) if isinstance(data, dict) else data, folder / "table.parquet")
    head = f'[project]\nname = "p"\n[models.m]\ntask = "{task}"\ndata = "table.parquet"\ntarget = "y"\n'
    project = spec.parse(head + more, folder)
    return load(project, "m"), project.models["m"]
