import pytest

from mainspring.spec import Budget

from .written import DELAY, PROJECT, mistake, parse


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ("40", Budget(trials=40)),
        ('"60s"', Budget(seconds=60)),
        ('"1.5m"', Budget(seconds=90)),
        ('"2h"', Budget(seconds=7200)),
        ('" 250 ms "', Budget(seconds=0.25)),
        ('"1d"', Budget(seconds=86_400)),
    ],
)
def test_budgets(budget, expected):
    assert parse(PROJECT + DELAY + f"budget = {budget}").model("delay").budget == expected


@pytest.mark.parametrize("budget", ["-1", "true", "2.5", '"60"', '"-60s"', '"1y"', "[1]", "{ trials = 3 }", '""'])
def test_what_is_no_budget(budget):
    assert "line 7: models.delay.budget: expected a number of trials such as 40, or a duration" in mistake(
        PROJECT + DELAY + f"budget = {budget}"
    )


@pytest.mark.parametrize("window", ["0", "-5", '"soon"', "true"])
def test_what_is_no_window(window):
    found = mistake(PROJECT + DELAY + f"monitor.window = {window}")
    assert "line 7: models.delay.monitor.window: expected a number of rows such as 5000, or a duration" in found


@pytest.mark.parametrize(("size", "expected"), [("1B", 1), ("500kB", 500_000), ("2 KB", 2000), ("1GB", 10**9)])
def test_sizes(size, expected):
    assert parse(PROJECT + f'[serving]\nmax_body = "{size}"').serving.max_body == expected
