"""`mainspring replay`, as it is called: what it prints, as text and as JSON, and how it refuses."""

from __future__ import annotations

import csv
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

TOML = """\
[project]
name = "shop"

[models.late]
task = "regression"
data = "orders.csv"
target = "minutes"
time = "at"
candidates = ["linear"]
budget = 1
folds = 2
monitor = { window = 200 }
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "mainspring.toml").write_text(TOML)
    draw = random.Random(4)
    with (folder / "orders.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["at", "size", "minutes"])
        for hour in range(1200):
            size = round(draw.gauss(0, 1), 3)
            at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
            table.writerow([at.isoformat(), size, round(3 * size + draw.gauss(0, 1), 3)])
    return folder


def test_json_has_the_policies_and_what_paid(mainspring, shop):
    options = ("--every", "15d", "--start", "1", "--label-delay", "1d", "--json")
    done = mainspring("replay", "late", "--project", shop, *options)
    assert done.code == 0, done.err
    found = done.json
    assert set(found["policies"]) == {"never", "always", "drift", "oracle"}
    for policy in found["policies"].values():
        assert policy["low"] < policy["score"] < policy["high"]
        assert {"renewals", "challengers", "alarms", "alarm_delay_seconds", "fit_seconds"} <= set(policy)
    assert found["paid"].keys() == {"never", "always"}
    assert [period["name"] for period in found["periods"]] == ["2024-01-16", "2024-01-31", "2024-02-15"]
    assert any("1 days" in note for note in found["notes"])
    assert "fitting the first champion" in done.err


def test_text_shows_a_table_a_summary_and_the_page(mainspring, shop):
    done = mainspring("replay", "late", "--project", shop, "--every", "20d", "--start", "1")
    assert done.code == 0, done.err
    for expected in ("RMSE by period", "2024-01-21", "oracle", "95 % interval", "Against never", "replay.html"):
        assert expected in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none",), "no model 'none'"),
        (("late", "--every", "often"), "not a duration"),
        (("late", "--label-delay", "month"), "not a duration"),
    ],
)
def test_misuse_is_told(mainspring, shop, arguments, message):
    done = mainspring("replay", *arguments, "--project", shop)
    assert done.code == 2
    assert message in done.err
