"""Which rows a renewal learns from, which it holds out, and whether it searches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mainspring.lifecycle.terms import share_to_judge_by, terms
from mainspring.spec import TASKS, TabularSpec

DAY = 86_400_000_000


def spec_with(**renew: Any) -> TabularSpec:
    table = {"task": "classification", "data": "orders.csv", "target": "late", "time": "at", "renew": renew}
    return TASKS["classification"].model_validate(table)


def days(count: int, a_day: int = 100) -> np.ndarray:
    return np.arange(count * a_day) * (DAY // a_day)


def test_of_dated_rows_the_newest_alone_are_held_out():
    times = np.arange(10_000) * DAY
    assert share_to_judge_by(times, seen_until=int(times[-1]), holdout=0.2) == 0.2  # nothing new
    assert share_to_judge_by(times, seen_until=-1, holdout=0.3) == 0.3  # all of it
    assert share_to_judge_by(times, seen_until=int(times[8999]), holdout=0.2) == 0.05  # half of few
    assert share_to_judge_by(times, seen_until=int(times[4999]), holdout=0.5) == 0.25


def test_the_champions_recipe_is_kept_unless_renewals_have_a_search_of_their_own():
    spec = spec_with()
    found = terms(spec, None, changed=None, seen_until=0)
    assert (found.search, found.spec, found.since, found.notes) == (False, spec, None, ())
    found = terms(spec_with(candidates=["linear"]), None, changed=None, seen_until=0)
    assert (found.search, found.spec.candidates, found.spec.budget) == (True, ("linear",), spec.budget)
    found = terms(spec_with(budget=3), None, changed=None, seen_until=0)
    assert (found.search, found.spec.candidates, found.spec.budget.trials) == (True, spec.candidates, 3)


def test_a_window_reaches_back_from_the_newest_row():
    times = days(30)
    found = terms(spec_with(data="window", window="10d"), times, changed=None, seen_until=int(times[-501]))
    assert found.since == times[-1] - 10 * DAY
    assert found.spec.holdout == pytest.approx(250 / 1001)  # half of the 500 new rows, of those in the window
    assert found.notes == ("1,001 rows since 1970-01-20 are used",)


@pytest.mark.parametrize(("ago", "enough"), [(11, True), (9, False)])
def test_what_came_since_a_change_is_used_if_it_is_enough(ago: int, enough: bool):
    times = days(30)
    found = terms(spec_with(data="since-change"), times, changed=(30 - ago) * DAY, seen_until=0)
    assert found.since == ((30 - ago) * DAY if enough else None)
    assert found.notes == (
        ("1,100 rows since 1970-01-20 are used",)
        if enough
        else ("only 900 rows came since the change, fewer than 1,000: all history is used",)
    )


def test_without_an_alarm_nothing_is_known_to_have_changed():
    found = terms(spec_with(data="since-change"), days(30), changed=None, seen_until=0)
    assert (found.since, found.notes) == (None, ())
