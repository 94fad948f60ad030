import pytest

from mainspring.spec import Budget, Window

from .written import DELAY, PROJECT, mistake, parse


def test_how_a_model_is_watched_and_renewed():
    model = parse(
        PROJECT
        + DELAY
        + """
monitor = { window = "7d", persistence = 3 }
renew = { data = "window", window = "26w", budget = 1, rollout = "canary" }
columns = { name = { private = "hash" } }

[log]
keep = "30d"
store = "s3://bucket/log"
"""
    ).model("delay")
    assert model.monitor.window == Window(seconds=7 * 86_400)
    assert (model.monitor.persistence, model.monitor.effect) == (3, 0.05)
    assert (model.renew.data, model.renew.window, model.renew.budget) == ("window", 26 * 7 * 86_400, Budget(trials=1))
    assert model.columns["name"].private == "hash"


@pytest.mark.parametrize("renew", ['{ data = "window" }', '{ window = "90d" }'])
def test_a_window_of_data_goes_with_its_policy(renew):
    found = mistake(PROJECT + DELAY + f"renew = {renew}")
    assert 'line 7: models.delay.renew: expected `window` (such as "90d") together with data = "window"' in found


def test_a_column_is_a_kind_or_a_table():
    columns = (
        parse(PROJECT + DELAY + 'columns.a = "text"\ncolumns.b = { kind = "time", unit = "s" }').model("delay").columns
    )
    assert (columns["a"].kind, columns["a"].unit) == ("text", None)
    assert (columns["b"].kind, columns["b"].unit) == ("time", "s")
