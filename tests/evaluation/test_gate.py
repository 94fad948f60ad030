import json
from dataclasses import replace

import pytest

from mainspring.evaluation.comparison import Comparison
from mainspring.evaluation.gate import decide

COMPARISON = Comparison(
    metric="log_loss",
    champion=0.42,
    challenger=0.40,
    difference=0.02,
    low=0.005,
    high=0.035,
    margin=0.0,
    p_better=0.012,
    p_not_better=0.988,
    test="paired bootstrap (studentised)",
    rows=500,
    clusters=None,
    significance=0.05,
)


@pytest.mark.parametrize(
    ("p_better", "p_not_better", "decision"),
    [
        (0.05, 0.95, "promote"),
        (0.0501, 0.95, "insufficient evidence"),
        (0.95, 0.05, "reject"),
        (0.95, 0.0501, "insufficient evidence"),
        (1.0, 1.0, "insufficient evidence"),
    ],
)
def test_decides_by_the_p_values(p_better, p_not_better, decision):
    assert decide(replace(COMPARISON, p_better=p_better, p_not_better=p_not_better)).decision == decision


@pytest.mark.parametrize(
    ("few", "enough"),
    [({"rows": 29}, {"rows": 30}), ({"clusters": 4}, {"clusters": 5})],
)
def test_too_little_data_is_insufficient_evidence_whatever_p_says(few, enough):
    verdict = decide(replace(COMPARISON, **few))
    assert verdict.decision == "insufficient evidence"
    assert "at least" in verdict.reason
    assert decide(replace(COMPARISON, **enough)).decision == "promote"


def test_the_reason_is_one_sentence_with_the_numbers():
    assert decide(COMPARISON).reason == (
        "log_loss 0.4 against 0.42 on 500 rows, a gain of 0.02 (90% interval 0.005 to 0.035); "
        "better (p = 0.012 ≤ 0.05, paired bootstrap (studentised))"
    )
    clustered = decide(replace(COMPARISON, clusters=20, margin=0.01)).reason
    assert "500 rows in 20 clusters" in clustered
    assert "better by more than the margin of 0.01" in clustered


def test_a_verdict_is_ready_for_json():
    found = json.loads(json.dumps(decide(COMPARISON).as_dict(), allow_nan=False))
    assert found["decision"] == "promote"
    assert found["comparison"]["p_better"] == 0.012
