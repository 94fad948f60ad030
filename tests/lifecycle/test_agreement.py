"""A replay plays what a live loop does: from the same rows, both make the same versions, and judge them on the same."""

from __future__ import annotations

import csv
import math
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mainspring import spec
from mainspring.data import dataset as data
from mainspring.data.splits import Split
from mainspring.lifecycle.fit import fit
from mainspring.lifecycle.judge import Served
from mainspring.lifecycle.refits import Fit, History
from mainspring.lifecycle.renew import renew
from mainspring.registry import versions
from mainspring.registry.versions import Version
from mainspring.spec import Project

DAY = 86_400 * 10**6
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
A_DAY = 80
FIRST, LATER = 15, 30  # days
TOML = """\
[project]
name = "shop"

[models.late]
task = "classification"
data = "orders.csv"
target = "late"
time = "at"
candidates = ["linear", "tree", "blend"]
budget = 2
folds = 2
renew = {{ {renew} }}
"""


def write(folder: Path, days: int) -> None:
    """The orders of so many days: always the same ones."""
    draw = random.Random(3)
    with (folder / "orders.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["at", "size", "heat", "late"])
        for row in range(days * A_DAY):
            size, heat = round(draw.gauss(row / 1000, 1), 4), round(draw.gauss(0, 1), 4)
            late = draw.random() < 1 / (1 + math.exp(-2 * size * heat))
            at = BEGIN + timedelta(days=row / A_DAY)
            table.writerow([at.isoformat(timespec="seconds"), size, heat, str(late).lower()])


@pytest.fixture(scope="module")
def fitted_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose first version was fitted on the first days and is live; then more days came."""
    folder = tmp_path_factory.mktemp("fitted") / "shop"
    folder.mkdir()
    (folder / "mainspring.toml").write_text(TOML.format(renew=""))
    write(folder, FIRST)
    [result] = fit(spec.load(folder))
    assert result.outcome == "promoted", result.message
    write(folder, LATER)
    return folder


def renewed(fitted_once: Path, folder: Path, renew_by: str) -> tuple[Project, list[Version]]:
    """A copy of it that was renewed, and its two versions."""
    shutil.copytree(fitted_once, folder)
    (folder / "mainspring.toml").write_text(TOML.format(renew=renew_by))
    project = spec.load(folder)
    result = renew(project, "late", reason="by hand")
    assert result.version == "2", result.message
    return project, [versions.load(project.state, "late", name) for name in ("1", "2")]


def played(project: Project) -> tuple[History, list[Fit]]:
    """The same in a replay of all rows."""
    history = History(data.load(project, "late"), project.models["late"], most_rows=100_000, label_delay=0.0)
    begin = int(history.times[0])
    first = history.first(begin + FIRST * DAY)
    return history, [first, history.renewal(first, begin + LATER * DAY)]


@pytest.mark.parametrize(
    ("renew_by", "kept_from"),
    [("", "1"), ('data = "window", window = "20d"', "1"), ('candidates = ["tree"], budget = 1', None)],
    ids=["all", "window", "searched"],
)
def test_a_replay_makes_the_versions_that_a_live_loop_makes(
    fitted_once: Path, tmp_path: Path, renew_by: str, kept_from: str | None
):
    project, made = renewed(fitted_once, tmp_path / "shop", renew_by)
    history, fits = played(project)
    for version, fitted in zip(made, fits, strict=True):
        manifest = version.manifest
        assert manifest.recipe == fitted.recipe
        assert (manifest.lineage.fit_rows, manifest.lineage.holdout_rows) == (
            len(fitted.fit_rows),
            len(fitted.held_out),
        )
        assert msgspec.convert(manifest.lineage.split, Split) == fitted.split
        everything = np.arange(len(history.rows))
        answers = fitted.answers(everything).probabilities
        np.testing.assert_allclose(Served.load(version).predict(history.rows).probabilities, answers, atol=1e-12)
    first, second = made
    assert second.manifest.recipe is not None
    assert second.manifest.recipe.kept_from == kept_from
    verdict = history.judge(*fits)
    assert verdict["comparison"]["difference"] == second.manifest.verdict["comparison"]["difference"]
    assert verdict["comparison"]["rows"] == second.manifest.verdict["comparison"]["rows"]
    seen_until = msgspec.convert(first.manifest.lineage.split, Split).seen_until
    assert history.times[fits[1].held_out].min() > seen_until  # on new rows alone
