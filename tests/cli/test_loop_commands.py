"""`history`, `drift`, `renew` and what `status` says of the loop."""

from __future__ import annotations

import pytest
from projects import make_rows, write_rows

from mainspring.monitoring import summary
from mainspring.monitoring.summary import AlarmLine, Summary
from mainspring.registry import desired, history, versions

from .conftest import in_folder


def test_history_tells_what_happened(fitted, mainspring):
    history.append(fitted.state, "late", "alarm", "1", "size moved", name="size")
    history.append(fitted.state, "late", "renew", "", "size moved", phase="begin")
    shown = mainspring("history", "late", *in_folder(fitted))
    assert shown.code == 0
    for text in ("fit", "promote", "alarm", "size moved", "renew begins"):
        assert text in shown.out
    found = mainspring("history", "--last", "2", "--json", *in_folder(fitted)).json
    assert [event["kind"] for event in found["events"]] == ["alarm", "renew"]


def test_history_tells_a_verdict_once(fitted, mainspring):
    shown = mainspring("history", "late", *in_folder(fitted)).out
    assert "fit version 1" in shown
    assert "promote version 1" in shown
    assert shown.count("against 0.5") == 1
    history.append(fitted.state, "late", "promote", "1", "another reason, and it is long enough for a line")
    assert "another reason" in mainspring("history", "late", *in_folder(fitted)).out


def test_history_of_no_model_is_misuse(fitted, mainspring):
    assert mainspring("history", "lat", *in_folder(fitted)).code == 2


def test_drift_says_what_a_first_window_needs(fitted, mainspring):
    shown = mainspring("drift", "late", *in_folder(fitted))
    assert shown.code == 0, shown.err
    assert "the first needs 2,000 predictions" in shown.out
    assert mainspring("drift", "late", "--json", *in_folder(fitted)).json["reports"] == []


def test_status_shows_alarms_and_trials(fitted, mainspring):
    line = AlarmLine("feature", "size", 0.4, 0.7, 5, "size moved: mean 0.0 → 2.0")
    summary.write(fitted.state, "late", Summary("1", 9, [line]))
    desired.set_canary(fitted.state, "late", "2", 0.25)
    shown = mainspring("status", *in_folder(fitted)).out
    assert "size moved: mean 0.0 → 2.0" in shown
    assert "version 2 takes 25% of the traffic" in shown
    [model] = mainspring("status", "--json", *in_folder(fitted)).json["models"]
    assert (model["alarms"][0]["name"], model["trial"]) == ("size", "version 2 takes 25% of the traffic")


def test_renew_without_new_rows_says_so(fitted, mainspring):
    shown = mainspring("renew", "late", *in_folder(fitted))
    assert "nothing to renew with" in shown.out
    assert shown.code == 0


@pytest.mark.parametrize(("flags", "kept_from"), [([], "1"), (["--search"], None)])
def test_renew_keeps_the_recipe_unless_a_search_is_asked_for(fitted, mainspring, flags, kept_from):
    write_rows(fitted.folder / "orders.csv", make_rows(440, seed=3))
    assert mainspring("renew", "late", *flags, *in_folder(fitted)).code in (0, 3)
    assert versions.load(fitted.state, "late", "2").manifest.recipe.kept_from == kept_from
