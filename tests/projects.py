"""Small projects for tests: a table, a spec that is fitted in a second or two, and changes of both."""

from __future__ import annotations

import csv
import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mainspring import spec
from mainspring.data import dataset
from mainspring.data.splits import Split
from mainspring.registry import desired, versions
from mainspring.registry.versions import Lineage, Manifest, Version
from mainspring.schema import Column, Schema, Target
from mainspring.spec import Project

TOML = """\
[project]
name = "orders"

[serving]
port = 0

[models.late]
task = "classification"
data = "orders.csv"
target = "late"
candidates = ["linear", "boosting"]
budget = 2
"""

Rows = list[dict[str, object]]


def make_rows(count: int = 300, seed: int = 3, strength: float = 1.0) -> Rows:
    """Orders, and which come late: `strength` is how much the columns tell of it, from 0, which is nothing."""
    draw = random.Random(seed)
    rows: Rows = []
    for _ in range(count):
        size, heat, plan = round(draw.gauss(0, 1), 4), round(draw.gauss(0, 1), 4), draw.choice("abc")
        score = strength * (2.2 * size + 0.8 * heat + 1.3 * (plan == "a"))
        rows.append({"size": size, "heat": heat, "plan": plan, "late": draw.random() < 1 / (1 + math.exp(-score))})
    return rows


def write_rows(path: Path, rows: Rows) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def read_rows(path: Path) -> Rows:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def make_project(folder: Path, toml: str = TOML, rows: Rows | None = None) -> Project:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mainspring.toml").write_text(toml, encoding="utf-8")
    write_rows(folder / "orders.csv", rows or make_rows())
    return spec.load(folder)


def respecify(project: Project, *changes: tuple[str, str]) -> Project:
    """The project after text was replaced in its spec."""
    path = project.folder / "mainspring.toml"
    text = path.read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")
    return spec.load(project.folder)


# The cheapest fit there is, for tests that need another version and not a good one.
CHEAP = (('candidates = ["linear", "boosting"]\nbudget = 2', 'candidates = ["linear"]\nbudget = 1'),)


def wait_until(true: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def publish(
    state: Path,
    model: str = "late",
    graph: bytes = b"a graph",
    more: Callable[[Path], None] = lambda staged: None,
    **manifest: Any,
) -> Version:
    """A version as the registry sees it: its files are whole, and nothing in them can be served. `more` adds files."""
    report = {"trials": [{"score": 0.7}, {"score": 0.75}]}
    known: dict[str, Any] = {
        "project": "orders",
        "model": model,
        "version": versions.next_name(state, model),
        "task": "classification",
        "created": "2026-01-01T00:00:00+00:00",
        "schema": Schema((Column("size", "number"),), Target("late", (False, True))),
        "lineage": Lineage("d" * 64, "s" * 64, "c" * 64, 10, 8, 2, {"method": "hash"}, 0, "3.11", {"numpy": "2.0"}),
        "candidate": "linear",
        "parameters": {"linear.strength": 0.5, "note": "n" * 9000},
        "metric": "roc_auc",
        "metrics": {"roc_auc": {"value": 0.8, "low": 0.7, "high": 0.9}, "f1": {"value": 0.6, "low": 0.5, "high": 0.7}},
        "parity": {},
        "verdict": {"decision": "promote", "reason": "better than the baseline", "against": "baseline"},
    }
    with versions.staging(state, model) as staged:
        (staged / "model.onnx").write_bytes(graph)
        (staged / versions.GOLDEN).write_bytes(
            b'{"records": [{"size": 1}], "answers": [{"label": true}], "tolerance": 0.1}'
        )
        (staged / versions.PROFILE).write_bytes(b"{}")
        (staged / versions.REPORT).write_bytes(msgspec.json.encode(report))
        (staged / versions.REPORT_PAGE).write_text("<p>a report</p>")
        more(staged)
        return versions.publish(staged, Manifest(**{**known, **manifest}))


def champion(project: Project, model: str = "late") -> str | None:
    return desired.read(project.state).champion(model)


def fit_side(project: Project, version: str = "1") -> np.ndarray:
    """Which rows of the data the version was fitted on: (n,) bool."""
    split = msgspec.convert(versions.load(project.state, "late", version).manifest.lineage.split, Split)
    return ~split.is_holdout(dataset.load(project, "late").table)


def spoil_labels(project: Project) -> None:
    """Turn the labels of all rows that version 1 was fitted on; those that are held out stay as they are."""
    seen = fit_side(project)
    rows = read_rows(project.folder / "orders.csv")
    for row, spoilt in zip(rows, seen, strict=True):
        if spoilt:
            row["late"] = {"True": "False", "False": "True"}[row["late"]]
    write_rows(project.folder / "orders.csv", rows)
