import msgspec
import pytest

from mainspring.monitoring.alarms import Watch, WatchState, message
from mainspring.monitoring.observations import Finding, WindowReport
from mainspring.spec import MonitorSpec

MINUTE = 60_000_000
SETTINGS = MonitorSpec(persistence=2)


def finding(deviates=True, name="heat", subject="feature", direction=None, **changes):
    fields = {"test": "Kolmogorov-Smirnov", "effect": 0.81, "p_value": 0.0, "rows": 2000, "matters": 0.12}
    detail = {} if direction is None else {"direction": direction}
    return Finding(subject=subject, name=name, deviates=deviates, detail=detail, **{**fields, **changes})


class Stream:
    """Windows of a minute each, as reports."""

    def __init__(self):
        self.windows = 0

    def __call__(self, *findings, version="1"):
        start = self.windows * MINUTE
        self.windows += 1
        return WindowReport(
            version=version, start=start, end=start + MINUTE - 1, rows=2000, labelled=0, enough=True,
            findings=list(findings),
        )  # fmt: skip


@pytest.fixture
def stream():
    return Stream()


def test_one_odd_window_is_no_alarm(stream):
    watch = Watch(SETTINGS)
    for deviates in (True, False, True, False):
        assert watch.feed(stream(finding(deviates))) == []
        assert watch.active == []


def test_two_in_a_row_are_one_alarm_until_two_are_calm(stream):
    watch = Watch(SETTINGS)
    watch.feed(stream(finding(False)))
    assert watch.feed(stream(finding())) == []
    [alarm] = watch.feed(stream(finding(effect=0.5)))
    assert (alarm.since, alarm.raised, alarm.windows) == (MINUTE, 3 * MINUTE - 1, 2)
    assert alarm.finding.effect == 0.5
    assert watch.feed(stream(finding(effect=0.6))) == []  # raised once
    [active] = watch.active
    assert (active.since, active.raised, active.windows, active.finding.effect) == (MINUTE, 3 * MINUTE - 1, 3, 0.6)
    watch.feed(stream(finding(False)))
    assert (len(watch.active), watch.ended) == (1, [])
    watch.feed(stream(finding()))  # back again: the calm begins anew
    watch.feed(stream(finding(False)))
    assert len(watch.active) == 1
    watch.feed(stream(finding(False)))
    assert watch.active == []
    [ended] = watch.ended
    assert (ended.since, ended.windows) == (MINUTE, 4)
    watch.feed(stream(finding(False)))
    assert watch.ended == []  # ended once
    watch.feed(stream(finding()))
    assert watch.active == []  # and it takes two again


def test_the_first_window_is_enough_where_the_spec_says_so(stream):
    assert len(Watch(MonitorSpec(persistence=1)).feed(stream(finding()))) == 1


def test_up_and_then_down_is_not_twice_the_same(stream):
    watch = Watch(SETTINGS)
    assert watch.feed(stream(finding(direction=1))) == []
    assert watch.feed(stream(finding(direction=-1))) == []
    [alarm] = watch.feed(stream(finding(direction=-1)))
    assert alarm.since == MINUTE
    watch = Watch(SETTINGS)
    watch.feed(stream(finding()))
    assert len(watch.feed(stream(finding(direction=-1)))) == 1  # what has no direction goes with either


def test_an_alarm_that_turns_round_stays(stream):
    watch = Watch(SETTINGS)
    for direction in (1, 1, -1):
        watch.feed(stream(finding(direction=direction)))
    assert [alarm.windows for alarm in watch.active] == [3]


def test_a_window_without_rows_enough_says_nothing(stream):
    watch = Watch(SETTINGS)
    watch.feed(stream(finding()))
    watch.feed(stream(finding(False, rows=199)))
    watch.feed(stream())
    [alarm] = watch.feed(stream(finding()))
    assert (alarm.since, alarm.windows) == (0, 2)
    for _ in range(5):
        watch.feed(stream(finding(False, rows=199)))
        watch.feed(stream())
    assert len(watch.active) == 1


def test_each_thing_has_its_own_alarm(stream):
    watch = Watch(SETTINGS)
    watch.feed(stream(finding(), finding(name="rain", matters=0.5)))
    raised = watch.feed(stream(finding(), finding(name="rain", matters=0.5), finding(subject="missing")))
    assert [alarm.finding.name for alarm in raised] == ["rain", "heat"]  # the most important first
    raised = watch.feed(stream(finding(subject="missing")))
    assert [(alarm.finding.subject, alarm.finding.name) for alarm in raised] == [("missing", "heat")]
    assert len(watch.active) == 3


def test_a_new_version_begins_anew(stream):
    watch = Watch(SETTINGS)
    watch.feed(stream(finding()))
    assert watch.feed(stream(finding(), version="2")) == []
    watch.feed(stream(finding(), version="2"))
    assert len(watch.active) == 1
    watch.feed(stream(version="3"))
    assert (watch.active, watch.ended) == ([], [])


def test_the_state_survives_a_restart(stream):
    watch, reports = (
        Watch(SETTINGS),
        [stream(finding(direction=1)), stream(finding(direction=1)), stream(finding(False))],
    )
    seen = []
    for report in reports:
        state = msgspec.json.decode(msgspec.json.encode(watch.state), type=WatchState)
        assert state == watch.state
        again = Watch(SETTINGS, state)
        seen.append(len(watch.feed(report)))
        again.feed(report)
        assert again.state == watch.state
    assert seen == [0, 1, 0]


def test_what_is_quiet_is_not_remembered(stream):
    watch = Watch(SETTINGS)
    watch.feed(stream(finding(), finding(False, name="rain")))
    assert list(watch.state.tracks) == ["feature/heat"]
    watch.feed(stream(finding(False)))
    assert watch.state == WatchState("1")


SINCE = 1_370_232_900 * 1_000_000


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (
            finding(name="temperature", was="mean 39.1", now="mean 78.4"),
            "temperature moved: mean 39.1 → 78.4 (KS distance 0.81, p < 1e-12), in 2 windows since 2013-06-03 04:15; "
            "it carries 12 % of the model's importance",
        ),
        (
            finding(name="carrier", test="chi-squared", p_value=2e-5, was="AA 10 %", now="AA 25 %"),
            "carrier moved: AA 10 % → 25 % (JS distance 0.81, p = 2e-05), in 2 windows since 2013-06-03 04:15; "
            "it carries 12 % of the model's importance",
        ),
        (
            finding(subject="missing", test="two proportions", effect=0.4, direction=1, was="0 %", now="40 %"),
            "heat is missing more often: 0 % → 40 % of rows (change 0.4, p < 1e-12), in 2 windows since "
            "2013-06-03 04:15; it carries 12 % of the model's importance",
        ),
        (
            finding(subject="performance", name="roc_auc", test="measured metric", effect=0.3, was="0.74", now="0.66"),
            "roc_auc got worse: 0.74 → 0.66 (30 % of its skill lost, p < 1e-12), in 2 windows since 2013-06-03 04:15",
        ),
    ],
)
def test_the_message_says_it_all(one, expected):
    assert message(one, 2, SINCE) == expected


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        ("unseen", "heat has categories that the model does not know: 1 % → 9 % of rows"),
        ("range", "heat is outside of the range that the model knows: 1 % → 9 % of rows"),
        ("prediction", "the predictions moved (heat): 1 % → 9 %"),
        ("label", "the true labels (heat) moved: 1 % → 9 %"),
        ("multivariate", "the inputs moved together: a classifier tells these rows from the reference, 1 % → 9 %"),
        ("estimated", "heat is estimated to have got worse: 1 % → 9 %"),
    ],
)
def test_each_subject_has_its_words(subject, words):
    assert message(finding(subject=subject, was="1 %", now="9 %"), 1, SINCE).startswith(words)


def test_a_window_is_one():
    assert "in a window since 2013-06-03 04:15" in message(finding(), 1, SINCE)
