"""Streams of questions that know their own truth: what they are about, and how well an index answers them."""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np
import pytest

from mainspring.data.documents.passages import Passage
from mainspring.monitoring import profiles
from mainspring.monitoring.alarms import Watch
from mainspring.monitoring.examine import examine
from mainspring.monitoring.observations import Rows
from mainspring.monitoring.retrieval import QUESTION, VECTOR, Questions, Searches, found_columns, learned, profile_of
from mainspring.runtimes.index.found import Found, Searched
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import Schema, Target
from mainspring.spec import MonitorSpec

WIDTH, TOPICS, THRESHOLD = 48, 8, 0.5
SCHEMA = Schema((), Target("passages"))
SETTINGS = MonitorSpec(window=300, rows=100)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


CENTRES = unit(np.random.default_rng(1).normal(size=(TOPICS, WIDTH)))


def embed(questions):
    """A question is "TOPIC NUMBER": near its topic, and always at the same place."""
    vectors = []
    for question in questions:
        topic, _, _ = question.strip().partition(" ")
        seed = int.from_bytes(hashlib.sha256(question.casefold().encode()).digest()[:8], "big")
        vectors.append(CENTRES[int(topic)] + 0.2 * np.random.default_rng(seed).normal(size=WIDTH))
    return unit(np.array(vectors)).astype(np.float32)


def ask(count, seed, topics=range(6), answered=0.85, loss=0.0):
    """Questions, scores of the two best passages, and the probabilities that the answer is there: of the share
    `answered` of questions it is. `loss` is how much of every score an index has lost.
    """
    draw = np.random.default_rng(seed)
    texts = [f"{topic} {draw.integers(10**9)}" for topic in draw.choice(list(topics), count)]
    good = draw.random(count) < answered
    top = np.where(good, draw.normal(0.7, 0.08, count), draw.normal(0.45, 0.08, count)) - loss
    scores = [(float(one), float(one - gap)) for one, gap in zip(top, draw.exponential(0.08, count), strict=True)]
    return texts, scores, 1 / (1 + np.exp(-25 * (top - 0.57)))


def found(score):
    passage = Passage(source="a.md", begin=0, end=1, text="a")
    return Found(id="0" * 64, passage=passage, quote="a", score=score, dense=score, sparse=0.0, title="")


def reference_of(count=300, **how):
    texts, scores, answerable = ask(count, 2, **how)
    searched = [
        Searched(found=[found(one) for one in each], answerable=float(sure), threshold=THRESHOLD)
        for each, sure in zip(scores, answerable, strict=True)
    ]
    return profile_of(embed(texts), searched)


def rows_of(texts, scores, answerable, start=0):
    columns = found_columns(scores, np.asarray(answerable, np.float64), THRESHOLD)
    columns[QUESTION] = np.array(texts, object)
    none = np.full(len(texts), np.nan)
    return Rows(start + np.arange(len(texts)), columns, Outputs(values=columns["score"]), none)


def report_of(reference, rows):
    return examine(reference, SCHEMA, rows, SETTINGS, "1", (partial(Questions, embed=embed), Searches))


def deviating(reference, rows):
    return {finding.name for finding in report_of(reference, rows).findings if finding.deviates}


@pytest.fixture(scope="module")
def reference():
    return reference_of()


def test_what_has_not_changed_deviates_no_more_often_than_is_said(reference):
    """Of windows like the reference at most 1 % have a finding, by `significance`; and no two in a row are an alarm."""
    watch, odd = Watch(SETTINGS), 0
    for window in range(100):
        report = report_of(reference, rows_of(*ask(300, 1000 + window)))
        assert {finding.name for finding in report.findings} == {
            QUESTION, "score", "gap", "answerable", "abstained", "empty",
        }  # fmt: skip
        odd += any(finding.deviates for finding in report.findings)
        assert watch.feed(report) == []
    assert odd <= 4  # more than that has a chance of 0.3 %


@pytest.mark.parametrize("topics", [(6, 7), (0, 1, 2), (0, 1, 2, 3, 4, 5, 6, 7)], ids=["others", "fewer", "more"])
def test_questions_about_something_else_are_found(reference, topics):
    assert deviating(reference, rows_of(*ask(300, 5, topics=topics))) == {QUESTION}


def test_a_worse_index_is_seen_in_its_scores(reference):
    report = report_of(reference, rows_of(*ask(300, 6, loss=0.05)))
    moved = {finding.name: finding for finding in report.findings if finding.deviates}
    assert "score" in moved
    assert QUESTION not in moved
    assert moved["score"].detail["direction"] == -1


def test_rising_abstention_is_an_alarm_after_two_windows_and_says_by_how_much(reference):
    watch = Watch(SETTINGS)
    for window in range(2):
        raised = watch.feed(report_of(reference, rows_of(*ask(300, 20 + window, answered=0.6), start=300 * window)))
    told = {alarm.finding.name: alarm.message for alarm in raised}
    assert told["abstained"].startswith("what is found moved (abstained): true ")
    share = [float(part.split(" %")[0].split()[-1]) for part in told["abstained"].split("→")]
    assert share[0] < 25 < 33 < share[1]


def test_searches_that_find_nothing_are_seen_where_none_did_before(reference):
    texts, scores, answerable = ask(300, 7)
    assert "empty" in deviating(
        reference, rows_of(texts, [() if n % 10 == 0 else each for n, each in enumerate(scores)], answerable)
    )


def test_one_question_that_is_asked_again_and_again_is_no_other_topic(reference):
    """Negative: were it learned from in one fold and known again in another, it would be told from all others."""
    texts, scores, answerable = ask(300, 8)
    texts[:200] = ["3 is it open today?", " 3 Is it  open today?"] * 100
    assert QUESTION not in deviating(reference, rows_of(texts, scores, answerable))


def test_private_questions_leave_the_searches_to_look_at(reference):
    rows = rows_of(*ask(300, 6, topics=(6, 7), loss=0.1))
    del rows.columns[QUESTION]
    names = {finding.name for finding in report_of(reference, rows).findings}
    assert QUESTION not in names
    assert "score" in names


def test_an_index_that_is_not_calibrated_is_watched_by_what_is_known(reference):
    texts, scores, _ = ask(300, 9)
    uncalibrated = profile_of(embed(texts), [Searched(found=[found(one) for one in each]) for each in scores])
    assert uncalibrated.profile.threshold is None
    columns = found_columns(scores, np.full(300, np.nan), None)
    columns[QUESTION] = np.array(texts, object)
    rows = Rows(np.arange(300), columns, Outputs(values=columns["score"]), np.full(300, np.nan))
    assert {finding.name for finding in report_of(uncalibrated, rows).findings} == {QUESTION, "score", "gap", "empty"}


def test_whether_it_abstains_is_told_by_the_threshold_and_else_by_the_log():
    answerable, said = np.array([0.2, 0.8, np.nan, np.nan]), np.array([0.0, 1.0, 1.0, np.nan])
    scores = [(0.5, 0.4), (0.5,), (), (0.5,)]
    columns = found_columns(scores, answerable, THRESHOLD, said)
    np.testing.assert_array_equal(columns["abstained"], [1.0, 0.0, 1.0, np.nan])
    np.testing.assert_array_equal(columns["empty"], [0.0, 0.0, 1.0, 0.0])
    np.testing.assert_allclose(columns["gap"], [0.1, np.nan, np.nan, np.nan])


def test_a_reference_comes_back_from_its_files(reference, tmp_path):
    profiles.save(reference, tmp_path)
    again = profiles.read(tmp_path)
    assert again.profile == reference.profile
    assert again.profile.threshold == THRESHOLD
    np.testing.assert_array_equal(again.sample[VECTOR], reference.sample[VECTOR])
    rows = rows_of(*ask(300, 10))
    assert report_of(again, rows) == report_of(reference, rows)


def test_without_questions_the_first_window_is_the_reference():
    reference = learned(rows_of(*ask(300, 11)), embed=embed)
    assert deviating(reference, rows_of(*ask(300, 12))) == set()
    assert QUESTION in deviating(reference, rows_of(*ask(300, 13, topics=(6, 7))))
    assert "score" in deviating(reference, rows_of(*ask(300, 14, loss=0.1)))
