from __future__ import annotations

import pyarrow as pa
import pytest

from mainspring.data.canonical import TIME
from mainspring.data.parsing import FROM_JSON, FROM_TEXT, FROM_TYPED, MISSING, parse_text
from mainspring.errors import DataError


def parsed(values, infer=FROM_TEXT, missing=MISSING, **kinds):
    return parse_text(pa.table({"a": pa.array(values, pa.string())}), infer, kinds, missing)["a"]


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        (["1", "-2", "0"], pa.int64(), [1, -2, 0]),
        (["1", "", "3"], pa.int64(), [1, None, 3]),
        (["1", "NA", " n/a ", "null"], pa.int64(), [1, None, None, None]),
        ([" 1", "2 "], pa.int64(), [1, 2]),
        (["0", "0.5", "-0.5", ".25", "1."], pa.float64(), [0, 0.5, -0.5, 0.25, 1]),
        (["1e3", "2.5E-1"], pa.float64(), [1000, 0.25]),
        (["1.5", "inf", "-Infinity"], pa.float64(), [1.5, float("inf"), float("-inf")]),
        (["true", "False", "", "TRUE"], pa.bool_(), [True, False, None, True]),
        (["t", "F"], pa.bool_(), [True, False]),
        (["Yes", "no"], pa.string(), ["Yes", "no"]),
        (["y", "n"], pa.string(), ["y", "n"]),
        (["0", "1"], pa.int64(), [0, 1]),
    ],
)
def test_numbers_and_booleans_are_found(values, type_, expected):
    column = parsed(values)
    assert column.type == type_
    assert column.to_pylist() == expected


@pytest.mark.parametrize(
    "values",
    [
        ["001", "2"],
        ["00", "1"],
        ["-01", "1"],
        ["00.5", "1"],
        ["+15551234", "1"],
        ["1", "2", "n/k"],
        ["1,5", "2"],
        ["1_000"],
        ["0x10"],
        ["99999999999999999999", "1"],
        ["inf", "-inf"],
        ["true", "no"],
        ["yes", "maybe"],
        ["2024-02-30"],
        ["2024-05-01", "soon"],
        ["01/02/2024"],
    ],
)
def test_what_is_not_clearly_something_else_stays_the_text_that_was_written(values):
    column = parsed(values)
    assert column.type == pa.string()
    assert column.to_pylist() == values


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1970-01-02", 86_400),
        ("1970-01-01T00:01", 60),
        ("1970-01-01 00:00:01", 1),
        ("1970-01-01T00:00:01.25", 1.25),
        ("1970-01-01T00:00:00.123456789", 0.123456),
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01 01:00:01+01:00", 1),
        ("1970-01-01 01:00:01 +01", 1),
        ("1969-12-31T19:00:00.5-0500", 0.5),
        ("1969-12-31T23:59:59", -1),
    ],
)
def test_times_are_utc_microseconds(written, seconds):
    column = parsed([written, "1970-01-01", ""])
    assert column.type == TIME
    assert column.cast(pa.int64()).to_pylist() == [round(seconds * 1e6), 0, None]


def test_the_marks_for_missing_can_be_others():
    assert parsed(["1", "?", "NA"], missing=("?",)).to_pylist() == ["1", None, "NA"]
    assert parsed(["1", "?"], missing=("?",)).to_pylist() == [1, None]


def test_text_keeps_its_spaces():
    assert parsed(["WD ", " x"]).to_pylist() == ["WD ", " x"]


def test_of_json_only_times_are_guessed_and_of_typed_sources_nothing():
    assert parsed(["1", "2"], FROM_JSON, ()).type == pa.string()
    assert parsed(["2024-01-01"], FROM_JSON, ()).type == TIME
    assert parsed(["2024-01-01"], FROM_TYPED, ()).type == pa.string()


def test_a_known_kind_is_not_guessed():
    assert parsed(["1", "2"], a="category").to_pylist() == ["1", "2"]
    assert parsed(["true"], a="text").to_pylist() == ["true"]
    assert parsed(["001", "+2", "", "1.5"], a="number").to_pylist() == [1, 2, None, 1.5]
    assert parsed(["1", "no", "T", ""], a="boolean").to_pylist() == [True, False, True, None]
    assert parsed(["", ""], a="number").to_pylist() == [None, None]


@pytest.mark.parametrize(
    ("kind", "wrong", "expected"),
    [
        ("number", "n/k", "a number"),
        ("boolean", "maybe", "true or false"),
        ("time", "2024-13-01", "an ISO 8601 date or time"),
    ],
)
def test_a_value_of_another_kind_is_named(kind, wrong, expected):
    right = {"number": "1", "boolean": "yes", "time": "2024-01-01"}[kind]
    with pytest.raises(DataError, match=f"column 'a', row 4: expected {expected}; found '{wrong}'"):
        parsed([right, "", right, wrong, wrong], a=kind)


def test_many_chunks_and_dictionaries_are_one_column():
    chunks = pa.chunked_array([pa.array(["1", "2"]).dictionary_encode(), pa.array(["3", ""]).dictionary_encode()])
    assert parse_text(pa.table({"a": chunks}), FROM_TEXT, {}, MISSING)["a"].to_pylist() == [1, 2, 3, None]
