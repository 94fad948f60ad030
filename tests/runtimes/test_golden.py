import pytest

from mainspring.errors import RuntimeLoadError
from mainspring.runtimes import golden
from mainspring.runtimes.onnx import OnnxRuntime
from mainspring.runtimes.records import RecordCodec

from . import graphs

RECORDS = [{"size": 1.0, "plan": "basic"}, {"size": 1e6, "plan": "plus"}, {"size": 0.0, "plan": "unseen"}]
VALUES = [{"value": 2.0}, {"value": 2_000_100.0}, {"value": 0.0}]
CLASSES = [{"size": 0.25, "plan": "basic"}, {"size": 0.75, "plan": "plus"}]
LABELS = [
    {"label": False, "probabilities": {"false": 0.75, "true": 0.25}},
    {"label": True, "probabilities": {"false": 0.25, "true": 0.75}},
]


def check(graph=None, schema=graphs.DOUBLE, records=RECORDS, answers=VALUES, tolerance=1e-5):
    golden.check(OnnxRuntime(graph or graphs.double(), schema), RecordCodec(schema), records, answers, tolerance)


def check_classes(graph=None, answers=LABELS):
    check(graph or graphs.sign(), graphs.SIGN, CLASSES, answers)


def test_the_same_answers_pass():
    check()
    check_classes()
    check(answers=[{"value": 2}, {"value": 2_000_100}, {"value": 0}])  # as JSON may hold whole numbers


def test_another_graph_does_not():
    with pytest.raises(RuntimeLoadError, match=r"example 0 is answered \{'value': 2.001\}; .* it was \{'value': 2.0\}"):
        check(graphs.double(factor=2.001))


def test_the_tolerance_is_relative_to_the_size_but_not_near_zero():
    check(answers=[{"value": 2.0 + 1.9e-5}, {"value": 2_000_100.0 + 19}, {"value": 0.9e-5}])
    for wrong in (
        [{"value": 2.0 + 2.1e-5}, *VALUES[1:]],
        [VALUES[0], {"value": 2_000_100.0 + 21}, VALUES[2]],
        [*VALUES[:2], {"value": 1.1e-5}],
    ):
        with pytest.raises(RuntimeLoadError):
            check(answers=wrong)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_an_answer_that_is_not_finite_fails(number):
    with pytest.raises(RuntimeLoadError):
        check(graphs.double(factor=number))


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": True, "probabilities": {"false": 0.75, "true": 0.25}},
        {"label": False, "probabilities": {"false": 0.751, "true": 0.249}},
        {"label": False, "probabilities": {"false": 0.75}},
        {"label": False},
        {"value": 0.0},
    ],
)
def test_a_wrong_class_or_probability_fails(wrong):
    with pytest.raises(RuntimeLoadError, match="golden example 0"):
        check_classes(answers=[wrong, LABELS[1]])
    with pytest.raises(RuntimeLoadError, match="golden example 1"):
        check_classes(answers=[LABELS[0], wrong])


def test_labels_the_wrong_way_round_fail():
    with pytest.raises(RuntimeLoadError, match="golden example 0"):
        check_classes(graphs.sign(labels=("true", "false")))


def test_a_record_that_does_not_fit_fails():
    with pytest.raises(RuntimeLoadError, match=r"does not fit the schema: \$\[1\]\.size: expected a number, got text"):
        check(records=[RECORDS[0], {"size": "1", "plan": "basic"}, RECORDS[2]])
    with pytest.raises(RuntimeLoadError, match="no records"):
        check(records=[], answers=[])


def test_labels_that_the_schema_does_not_have_fail():
    with pytest.raises(RuntimeLoadError):
        check_classes(graphs.sign(labels=("no", "yes")))


def test_too_few_answers_fail():
    with pytest.raises(RuntimeLoadError):
        check(answers=VALUES[:2])
