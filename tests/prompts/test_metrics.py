import pytest

from mainspring.errors import SpecError
from mainspring.prompts.metrics import METRICS, metric_named


@pytest.mark.parametrize(
    ("name", "value", "expected", "score"),
    [
        ("exact_match", "The Eiffel-Tower!", "eiffeltower", 1),
        ("exact_match", "the tower", "a  tower", 1),
        ("exact_match", "tower", "towers", 0),
        ("exact_match", None, "None", 0),
        ("exact_match", 5, "5", 1),
        ("choice_accuracy", "A", "A", 1),
        ("choice_accuracy", "a", "A", 0),
        ("choice_accuracy", None, "A", 0),
        ("token_f1", "the cat sat", "cat sat down", 0.8),
        ("token_f1", "dog", "cat", 0),
        ("token_f1", "the", "a", 1),
        ("token_f1", None, "", 0),
        ("json_equal", {"a": [1, 2.0], "b": None}, {"b": None, "a": [1.0, 2]}, 1),
        ("json_equal", {"a": 1}, {"a": True}, 0),
        ("json_equal", [1, 2], [2, 1], 0),
        ("json_equal", {"a": 1}, {"a": 1, "b": 2}, 0),
        ("json_equal", None, None, 0),
        ("numeric", 0.1 + 0.2, 0.3, 1),
        ("numeric", 1_000_000, 1_000_002, 0),
        ("numeric", "5", 5, 0),
        ("numeric", True, 1, 0),
        ("numeric", None, 0, 0),
    ],
)
def test_metrics(name, value, expected, score):
    assert metric_named(name)(value, expected) == pytest.approx(score, abs=1e-12)


def test_an_unknown_metric_is_told():
    assert "numeric" in METRICS
    with pytest.raises(
        SpecError, match=r"'exactmatch' is not a metric of answers; allowed: exact_match, .*did you mean"
    ):
        metric_named("exactmatch")
