from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mainspring.data.canonical import TIME
from mainspring.data.conform import conform, truth
from mainspring.errors import DataError
from mainspring.schema import KINDS, MISSING_TIME, Column, Target


def one(values, kind):
    return conform(pa.table({"a": values}), (Column("a", kind),))["a"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, None, 3], [1, np.nan, 3]),
        ([0.5, float("nan"), float("inf")], [0.5, np.nan, np.nan]),
        ([True, False, None], [1, 0, np.nan]),
        (["1", "", "1e3"], [1, np.nan, 1000]),
        ([2**60 + 1], [2.0**60]),
        (pa.nulls(2, pa.string()), [np.nan, np.nan]),
        (pa.nulls(1, TIME), [np.nan]),
    ],
)
def test_numbers(values, expected):
    found = one(values, "number")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("values", [[True, False, None], [1, 0, None], [1.0, 0.0, None], ["Yes", "no", ""]])
def test_booleans(values):
    found = one(values, "boolean")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [1, 0, np.nan])


@pytest.mark.parametrize("kind", ["category", "text"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", None, "é"], ["a", "", "é"]),
        ([3, None, -1], ["3", "", "-1"]),
        ([3.0, None, 0.1], ["3", "", "0.1"]),
        ([True, None, False], ["true", "", "false"]),
    ],
)
def test_texts(values, expected, kind):
    found = one(values, kind)
    assert found.dtype == object
    assert found.tolist() == expected


def test_times():
    for values in (pa.array([5, None], pa.timestamp("us")), ["1970-01-01T00:00:00.000005", ""]):
        found = one(values, "time")
        assert found.dtype == np.int64
        assert found.tolist() == [5, MISSING_TIME]


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        (["1", "n/k"], "number", "column 'a', row 2: expected a number; found 'n/k'"),
        (pa.array([None, 5], TIME), "number", "column 'a', row 2: expected a number; found 1970-01-01"),
        ([1, 2], "boolean", "column 'a', row 2: expected true or false; found 2"),
        (["no", "maybe"], "boolean", "column 'a', row 2: expected true or false; found 'maybe'"),
        ([1], "time", "column 'a', row 1: expected a date or time; found 1"),
        (["soon"], "time", "column 'a', row 1: expected an ISO 8601 date or time; found 'soon'"),
    ],
)
def test_a_value_that_does_not_fit_is_named(values, kind, message):
    with pytest.raises(DataError, match=message):
        one(values, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_and_many_chunks(kind):
    values = {"number": [1.5, None], "boolean": [True, None], "time": pa.array([1, None], TIME)}.get(kind, ["a", None])
    values = pa.array(values)
    table = pa.table({"a": pa.chunked_array([values, values, values[:0]])})
    assert len(conform(table, (Column("a", kind),))["a"]) == 4
    assert len(conform(table[:0], (Column("a", kind),))["a"]) == 0


def test_a_column_that_is_missing_is_named():
    with pytest.raises(DataError, match="the column 'b' is missing; found: a, c"):
        conform(pa.table({"a": [1], "c": [1]}), (Column("b", "number"),))


def test_truth():
    table = pa.table({"flag": [True, False], "text": ["b", "a"], "whole": [3, 1], "float": [3.0, 1.0]})
    assert truth(table, Target("flag", (False, True))).tolist() == [1, 0]
    assert truth(table, Target("text", ("a", "b"))).tolist() == [1, 0]
    assert truth(table, Target("whole", (1, 2, 3))).tolist() == [2, 0]
    assert truth(table, Target("float", (1, 2, 3))).tolist() == [2, 0]
    assert truth(table, Target("whole")).tolist() == [3.0, 1.0]
    assert truth(table, Target("whole")).dtype == np.float64
    with pytest.raises(DataError, match="column 'text', row 1: expected one of the labels a, c; found 'b'"):
        truth(table, Target("text", ("a", "c")))
    with pytest.raises(DataError, match="row 2: expected a number; found nothing"):
        truth(pa.table({"y": [1.0, None]}), Target("y"))
    with pytest.raises(DataError, match="the target 'y' is missing; found: flag"):
        truth(table, Target("y"))
