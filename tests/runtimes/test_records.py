"""The codec alone; the gateway's own tests say what a client sees of it."""

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mainspring.errors import RequestError
from mainspring.runtimes.onnx import Outputs
from mainspring.runtimes.records import RecordCodec
from mainspring.schema import MISSING_TEXT, MISSING_TIME, Column, Schema, Target

DAY = 86_400 * 1_000_000
YEAR_1, YEAR_9999 = -719_162 * DAY, 2_932_897 * DAY - 1

# For each kind: how it is held, values, and the mark of a missing one.
FORMS = {
    "number": (np.float64, st.floats(allow_nan=False, allow_infinity=False), np.nan),
    "boolean": (np.float64, st.sampled_from([0.0, 1.0]), np.nan),
    "category": (object, st.text(min_size=1, max_size=10), MISSING_TEXT),
    "text": (object, st.text(min_size=1, max_size=30), MISSING_TEXT),
    "time": (np.int64, st.integers(YEAR_1, YEAR_9999), MISSING_TIME),
}
# A column may also be called by these, but see the test that is expected to fail.
REFUSED = {chr(code) for code in range(32)} | {'"', "\\"}
NAMES = st.text(min_size=1, max_size=10).filter(lambda name: name.strip() and not REFUSED & set(name))


@st.composite
def tables(draw):
    """A schema, and columns that fit it."""
    rows = draw(st.integers(1, 5))
    features, columns = [], {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=5, unique=True)):
        kind, nullable = draw(st.sampled_from(list(FORMS))), draw(st.booleans())
        dtype, values, missing = FORMS[kind]
        if nullable:
            values = st.one_of(st.just(missing), values)
        features.append(Column(name, kind, nullable=nullable))
        columns[name] = np.array(draw(st.lists(values, min_size=rows, max_size=rows)), dtype=dtype)
    return Schema(tuple(features), Target("y")), columns


def assert_same(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for name, column in expected.items():
        assert found[name].dtype == column.dtype
        assert found[name].shape == column.shape
        if column.dtype == np.float64:
            assert np.array_equal(found[name], column, equal_nan=True)
            assert np.array_equal(np.signbit(found[name]), np.signbit(column)) or np.isnan(column).any()
        else:
            assert found[name].tolist() == column.tolist()


@given(tables())
@settings(max_examples=150, deadline=None)
def test_columns_to_records_and_back(table):
    schema, columns = table
    codec = RecordCodec(schema)
    records = codec.records(columns)
    body = msgspec.json.encode(records)
    rows = len(records)
    for found, count in (
        codec.convert(records),
        codec.decode(body),
        codec.decode(msgspec.json.format(body, indent=2)),
        codec.decode(b'{"records":' + body + b"}") if "records" not in columns else codec.decode(body),
    ):
        assert count == rows
        assert_same(found, columns)
    assert codec.records(codec.decode(body)[0]) == records
    first = {name: column[:1] for name, column in columns.items()}
    assert_same(codec.decode(msgspec.json.encode(records[0]))[0], first)


def test_a_column_called_records_is_no_wrapper():
    codec = RecordCodec(Schema((Column("records", "number"),), Target("y")))
    assert codec.decode(b'{"records": 1.5}')[0]["records"].tolist() == [1.5]
    assert codec.decode(b'[{"records": 1.5}]')[0]["records"].tolist() == [1.5]


def test_the_comparison_can_fail():
    for one, other in ((0.0, -0.0), (1.0, 2.0), (np.nan, 1.0)):
        with pytest.raises(AssertionError):
            assert_same({"x": np.array([one])}, {"x": np.array([other])})


ALL = Schema(
    (
        Column("size", "number"),
        Column("member", "boolean", nullable=True),
        Column("plan", "category"),
        Column("zip", "category", nullable=True, integer=True),
        Column("seen", "time", nullable=True),
        Column("said", "text", nullable=True),
    ),
    Target("y"),
)
GOOD = {"size": 1.5, "member": True, "plan": "plus", "zip": 3, "seen": "2013-07-04T18:30:00", "said": "so be it"}
WRONG = [
    ("size", "1.5", "expected a number, got text"),
    ("size", None, "expected a number, got null"),
    ("size", True, "expected a number, got true or false"),
    ("size", [1.5], "expected a number, got an array"),
    ("member", 1, "expected true or false or null, got a whole number"),
    ("member", "true", "expected true or false or null, got text"),
    ("plan", 3, "expected text, got a whole number"),
    ("plan", None, "expected text, got null"),
    ("plan", "", "the text is empty"),
    ("zip", 3.5, "expected a whole number or text or null, got a number"),
    ("zip", {}, "got an object"),
    ("seen", "yesterday", "expected an ISO 8601 time such as .*, got 'yesterday'"),
    ("seen", "2013-02-29", "expected an ISO 8601 time"),
    ("seen", 1372962600, "expected text or null, got a whole number"),
    ("seen", "", "expected an ISO 8601 time"),
    ("said", False, "expected text or null, got true or false"),
]


@pytest.mark.parametrize(("name", "value", "problem"), WRONG)
def test_what_is_wrong_is_named_with_its_place(name, value, problem):
    codec = RecordCodec(ALL)
    records = [GOOD, {**GOOD, name: value}]
    body = msgspec.json.encode(records)
    for ask, place in (
        (lambda: codec.convert(records), f"$[1].{name}"),
        (lambda: codec.decode(body), f"$[1].{name}"),
        (lambda: codec.decode(b'{"records": ' + body + b"}"), f"$.records[1].{name}"),
        (lambda: codec.decode(msgspec.json.encode(records[1])), f"$.{name}"),
    ):
        with pytest.raises(RequestError, match=problem) as caught:
            ask()
        assert caught.value.place == place


def test_the_same_record_without_the_mistake_passes():
    assert RecordCodec(ALL).convert([GOOD, GOOD])[1] == 2


def test_each_kind_in_the_form_that_the_graph_takes():
    columns, rows = RecordCodec(ALL).convert([GOOD, {**GOOD, "member": None, "zip": "x", "seen": None, "said": None}])
    assert rows == 2
    assert columns["size"].tolist() == [1.5, 1.5]
    assert columns["member"][0] == 1.0
    assert np.isnan(columns["member"][1])
    assert columns["zip"].tolist() == ["3", "x"]
    assert columns["seen"].tolist() == [1_372_962_600_000_000, MISSING_TIME]
    assert columns["said"].tolist() == ["so be it", ""]


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.999999", -1),
        ("0001-01-01T00:00:00", YEAR_1),
        ("9999-12-31T23:59:59.999999Z", YEAR_9999),
        ("2000-02-29", 951_782_400_000_000),
    ],
)
def test_times_are_microseconds_since_1970(text, microseconds):
    columns, _ = RecordCodec(ALL).convert([{**GOOD, "seen": text}])
    assert columns["seen"].tolist() == [microseconds]


@given(st.text(max_size=30))
@example("0001-01-01T00:00:00+23:59")
@example("9999-12-31T23:59:59-23:59")
@example("2013-W27-4")
@settings(max_examples=100, deadline=None)
def test_any_text_is_a_time_or_a_clear_mistake(text):
    codec = RecordCodec(ALL)
    try:
        columns, _ = codec.convert([{**GOOD, "seen": text}])
    except RequestError as error:
        assert error.place == "$[0].seen"  # noqa: PT017 -- a time now and then passes
    else:
        assert abs(int(columns["seen"][0])) < 2**58


def test_a_whole_number_is_a_number():
    columns, _ = RecordCodec(ALL).decode(msgspec.json.encode({**GOOD, "size": 2**53 + 1}))
    assert columns["size"].tolist() == [float(2**53)]


def test_answers_keep_the_type_of_their_labels():
    for labels in ((False, True), (1, 2), ("a", "é")):
        codec = RecordCodec(Schema(ALL.features, Target("y", labels)))
        texts = np.array([str(label).lower() for label in labels], object)
        answers = codec.outputs(Outputs(labels=texts, probabilities=np.array([[0.75, 0.25], [0.25, 0.75]])))
        assert [answer["label"] for answer in answers] == list(labels)
        assert answers[0]["probabilities"] == {texts[0]: 0.75, texts[1]: 0.25}
    assert RecordCodec(ALL).outputs(Outputs(values=np.array([1.5, 2.0]))) == [{"value": 1.5}, {"value": 2.0}]
