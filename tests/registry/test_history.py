from __future__ import annotations

import pytest

from mainspring.registry import history


def test_events_come_back_in_order(state):
    assert history.read(state) == []
    first = history.append(state, "late", "fit", "1", "linear: good", decision="promote")
    other = history.append(state, "fare", "fit", "1")
    third = history.append(state, "late", "promote", "1", "Übung, \n two lines")
    assert history.read(state) == [first, other, third]
    assert history.read(state, "late") == [first, third]
    assert first.data == {"decision": "promote"}


@pytest.mark.parametrize("kept", [1, 10, -1])
def test_a_torn_last_line_is_left_out_and_spoils_nothing_after_it(state, kept):
    first = history.append(state, "late", "promote", "1")
    history.append(state, "late", "promote", "2")
    path = state / "history.jsonl"
    whole, last, _ = path.read_bytes().split(b"\n")
    path.write_bytes(whole + b"\n" + last[:kept])
    assert history.read(state) == [first]
    third = history.append(state, "late", "promote", "3")
    fourth = history.append(state, "late", "promote", "4")
    assert history.read(state) == [first, third, fourth]


def test_a_last_line_that_lacks_only_its_end_is_kept(state):
    first = history.append(state, "late", "promote", "1")
    path = state / "history.jsonl"
    path.write_bytes(path.read_bytes().rstrip())
    second = history.append(state, "late", "promote", "2")
    assert history.read(state) == [first, second]


def test_rubbish_is_left_out(state):
    first = history.append(state, "late", "promote", "1")
    path = state / "history.jsonl"
    path.write_bytes(b'\xff\x00\n{"time":"\xff"}\n[]\n\n' + path.read_bytes() + b'{"time": 3}\n')
    assert history.read(state) == [first]


# steps, then whom a rollback goes back to: "3" promotes, "<1" rolls back to 1
@pytest.mark.parametrize(
    ("steps", "previous"),
    [
        ("", None),
        ("1", None),
        ("1 2", "1"),
        ("1 2 3", "2"),
        ("1 2 3 <2", "1"),
        ("1 2 3 <2 <1", None),
        ("1 2 <1 3", "1"),
        ("1 2 <1 3 <1", None),
        ("1 2 1", "2"),
        ("1 2 1 <2", "1"),
        ("1 1", None),
        ("1 2 2", "1"),
        ("1 2 3 <2 3", "2"),
    ],
)
def test_a_rollback_goes_back_to_the_version_promoted_over(state, steps, previous):
    champion = ""
    for step in steps.split():
        champion = step.removeprefix("<")
        history.append(state, "late", "rollback" if step != champion else "promote", champion)
        history.append(state, "late", "fit", "9")
        history.append(state, "fare", "promote", "7")
    assert history.previous_champion(state, "late", champion) == previous


def test_a_champion_whose_promotion_was_not_written_down_in_time_goes_back_to_the_last_that_was(state):
    history.append(state, "late", "promote", "1")
    assert history.previous_champion(state, "late", "2") == "1"
