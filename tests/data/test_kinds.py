from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

from mainspring.errors import DataError, SpecError
from mainspring.schema import Target

N = 60
Y = [place % 7 % 3 == 0 for place in range(N)]  # that no column of a short period tells


def features(dataset):
    return {column.name: column for column in dataset.schema.features}


def test_types_say_what_most_columns_are(load_table):
    dataset = load_table(
        {
            "whole": [1, 5] * (N // 2),
            "pandas": [2.0, None] * (N // 2),
            "real": [0.5, 1.5] * (N // 2),
            "flag": [True, None] * (N // 2),
            "at": pa.array([0, 1_000_000] * (N // 2), pa.timestamp("us")),
            "plan": ["plus", "basic", "plus"] * (N // 3),
            "zip": ["001", "7"] * (N // 2),
            "story": [f"a long story of many words, number {place}" for place in range(N)],
            "reason": ["it did not work at all", "it cost too much for me"] * (N // 2),
            "y": Y,
        }
    )
    found = features(dataset)
    assert {name: column.kind for name, column in found.items()} == {
        "whole": "number",
        "pandas": "number",
        "real": "number",
        "flag": "boolean",
        "at": "time",
        "plan": "category",
        "zip": "category",
        "story": "text",
        "reason": "category",
    }
    assert (found["whole"].integer, found["whole"].low, found["whole"].high) == (True, 1.0, 5.0)
    assert (found["pandas"].integer, found["pandas"].nullable) == (True, True)
    assert (found["real"].integer, found["real"].nullable) == (False, False)
    assert found["flag"].nullable
    assert (found["at"].low, found["at"].high) == (0.0, 1e6)
    assert found["plan"].levels == ("plus", "basic")
    assert (found["zip"].levels, found["zip"].integer) == (("001", "7"), False)
    assert dataset.notes == ()


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("email", [f"user{place}@example.org" for place in range(N)], "60 of its 60 values are different"),
        ("row", list(range(N)), "it counts the rows from 0 to 59"),
        ("row", list(range(N, 0, -1)), "it counts the rows from 1 to 60"),
        ("CustomerID", [place * 7 for place in range(N)], "its 60 values are all different, and its name says so"),
    ],
)
def test_identifiers_are_dropped_and_can_be_kept(load_table, name, values, why):
    table = {name: values, "x": [1, 2] * (N // 2), "y": Y}
    dataset = load_table(table)
    assert list(features(dataset)) == ["x"]
    expected = f'{name} is dropped as an identifier: {why}. To keep it: columns.{name} = "category".'
    assert dataset.notes == (expected,)
    kept = load_table(table, more=f'columns = {{ {name} = "category" }}')
    assert list(features(kept)) == [name, "x"]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("year", list(range(1970, 1970 + N))),
        ("amount", [place * 7 for place in range(N)]),
        ("id", [1, 2] * (N // 2)),
        ("ratio", [place / 7 for place in range(N)]),
    ],
)
def test_numbers_that_only_look_like_identifiers_are_kept(load_table, name, values):
    assert list(features(load_table({name: values, "y": Y}))) == [name]


def test_constants_and_empty_columns_are_dropped(load_table):
    dataset = load_table(
        {
            "one": ["a"] * N,
            "none": pa.nulls(N, pa.float64()),
            "some": pa.array(["a", None] * (N // 2)),
            "x": [1, 2] * (N // 2),
            "y": Y,
        }
    )
    assert list(features(dataset)) == ["some", "x"]
    assert dataset.notes == (
        "one is dropped as a constant: every value is a.",
        "none is dropped: every value is missing.",
    )
    assert [column.name for column in dataset.hashed] == ["some", "x", "one"]


def test_what_no_model_takes_is_dropped(load_table):
    dataset = load_table({"list": [[1]] * N, "raw": [b"x", b"y"] * (N // 2), "x": [1, 2] * (N // 2), "y": Y})
    assert list(features(dataset)) == ["x"]
    assert "list is dropped: no model takes values of type list" in dataset.notes[0]
    assert "raw is dropped: no model takes values of type binary." in dataset.notes


def test_the_spec_knows_better(load_table):
    dataset = load_table(
        {
            "store": [3, None, 12] * (N // 3),
            "flag": [0, 1] * (N // 2),
            "price": ["001", "2.5"] * (N // 2),
            "when": ["2024-01-01", "2024-01-02"] * (N // 2),
            "code": ["a", "b"] * (N // 2),
            "out": [1, 2] * (N // 2),
            "y": Y,
        },
        more='exclude = ["out"]\ncolumns = { store = "category", flag = "boolean", price = { kind = "number", '
        'unit = "€", description = "what it costs" }, when = "time", code = "identifier" }',
    )
    found = features(dataset)
    assert {name: column.kind for name, column in found.items()} == {
        "store": "category",
        "flag": "boolean",
        "price": "number",
        "when": "time",
    }
    assert (found["store"].levels, found["store"].integer) == (("12", "3"), True)
    assert (found["price"].unit, found["price"].description) == ("€", "what it costs")
    assert dataset.columns["price"].tolist()[:2] == [1.0, 2.5]
    assert dataset.columns["store"].tolist()[:3] == ["3", "", "12"]
    assert dataset.notes == ("code is dropped as an identifier: the spec says so.",)


def test_many_levels_are_capped(load_table):
    rows = 3_000
    dataset = load_table({"shop": [f"s{place % 1500}" for place in range(rows)], "y": [True, False] * (rows // 2)})
    assert len(features(dataset)["shop"].levels) == 1_000
    assert dataset.notes == ("shop: 1,500 categories; the 1,000 most frequent are kept apart.",)


def test_infinite_numbers_count_as_missing(load_table):
    dataset = load_table({"x": [1.5, float("inf"), float("-inf")] * (N // 3), "z": [1, 2] * (N // 2), "y": Y})
    column = features(dataset)["x"]
    assert (column.nullable, column.low, column.high) == (True, 1.5, 1.5)
    assert np.isnan(dataset.columns["x"]).sum() == 40
    assert dataset.notes == ("x: 40 infinite values count as missing.",)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["b", "A", "a"], ("A", "a", "b")),
        ([True, False], (False, True)),
        ([10, 2], (2, 10)),
        ([1.0, 0.0], (0, 1)),
        ([-1, 0, 1], (-1, 0, 1)),
    ],
)
def test_labels_keep_their_type_in_order(load_table, values, labels):
    dataset = load_table({"x": [1, 2, 3] * 20, "y": (values * N)[:N]})
    assert dataset.schema.target == Target("y", labels)
    assert [type(label) for label in dataset.schema.target.labels] == [type(label) for label in labels]
    assert [labels[code] for code in dataset.truth] == (values * N)[:N]


def test_a_number_as_target(load_table):
    dataset = load_table(
        {"x": [1, 2] * (N // 2), "y": [float(place % 7) for place in range(N)]},
        task="regression",
        more='columns = { y = { unit = "$" } }',
    )
    assert dataset.schema.target == Target("y", (), "$")
    assert dataset.truth.dtype == np.float64


def test_rows_without_a_target_are_left_out_and_counted(load_table):
    dataset = load_table({"x": [1, 2] * (N // 2), "y": pa.array([True, False, None] * (N // 3))})
    assert len(dataset) == 40
    assert dataset.notes == ("20 of 60 rows have no value of y and are left out.",)
    number = load_table({"x": [1, 2] * (N // 2), "y": [0.5, 1.5, float("inf")] * (N // 3)}, task="regression")
    assert len(number) == 40


@pytest.mark.parametrize(
    ("task", "values", "message"),
    [
        ("classification", [0.5, 1.0], 'holds numbers such as 0.5. For this target, task = "regression"'),
        ("classification", range(N), '60 different values in 60 rows. For this target, task = "regression"'),
        ("classification", [f"l{n}" for n in range(N)], "60 different values in 60 rows.$"),
        ("classification", [datetime(2024, 1, 1)], "holds times such as"),
        ("regression", ["1", "2", "n/k"], "holds text such as 'n/k'"),
        ("regression", ["a", "b"], "numbers; 'y' holds text such as 'a'. For this target, task = \"classif"),
        ("regression", [True, False], 'holds true and false such as true. For this target, task = "classification"'),
    ],
)
def test_a_target_of_the_wrong_kind(load_table, task, values, message):
    with pytest.raises(SpecError, match=r"line 6: models\.m\.target: expected .*" + message):
        load_table({"x": [1, 2] * (N // 2), "y": (list(values) * N)[:N]}, task=task)


def test_too_little_to_learn_from(load_table):
    with pytest.raises(DataError, match="19 rows with a value of 'y' are too few to learn from: at least 20"):
        load_table({"x": list(range(19)), "y": [1] * 19})
    with pytest.raises(DataError, match="the target 'y' has the same value in every row: 1"):
        load_table({"x": [1, 2] * 30, "y": [1] * N})
    with pytest.raises(DataError, match=r"the target 'y' has the same value in every row: 0.5"):
        load_table({"x": [1, 2] * 30, "y": [0.5] * N}, task="regression")
    with pytest.raises(DataError, match="the target 'y' has labels of one row only: 'c'"):
        load_table({"x": [1, 2] * 30, "y": ["a", "b"] * 29 + ["a", "c"]})
    with pytest.raises(DataError, match="no column is left to learn from: x is dropped as a constant"):
        load_table({"x": [1] * N, "y": Y})
    with pytest.raises(DataError, match="0 rows with a value of 'y'"):
        load_table({"x": [1] * N, "y": pa.nulls(N, pa.string())})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('time = "joine"', r"line 7: models\.m\.time: there is no column 'joine'; there are: age, .*mean 'joined'\?"),
        ('group = "house"', r"models\.m\.group: there is no column 'house'"),
        ('exclude = ["age", "plam"]', r"models\.m\.exclude: there is no column 'plam'.*did you mean 'plan'\?"),
        ('columns = { ages = "number" }', r"models\.m\.columns\.ages: there is no column 'ages'"),
        ('[models.m.columns]\nages = "number"', r"line 8: models\.m\.columns\.ages"),
        ('time = "y"', "'y' is the target already"),
        ('exclude = ["y"]', "'y' is the target"),
        ('time = "joined"\ngroup = "joined"', "line 8: models.m.group: 'joined' is the time already"),
        ('time = "age"', "expected a column of dates or times; 'age' holds numbers such as"),
        ('columns = { age = "time" }', "a column of numbers such as .* cannot be read as time"),
        ('columns = { joined = "number" }', "a column of times such as .* cannot be read as number"),
        ('columns = { age = "boolean" }', "expected 0 and 1; found "),
    ],
)
def test_mistakes_in_the_spec(load_table, customers, more, message):
    with pytest.raises(SpecError, match=message):
        load_table(customers, more=more)


def test_a_target_that_is_not_there(load_table):
    with pytest.raises(SpecError, match=r"line 6: models\.m\.target: there is no column 'y'; there are: x"):
        load_table({"x": [1]})


@pytest.mark.parametrize("name", ['screen 27"', "a\\b", "two\nlines"])
def test_a_column_that_json_cannot_ask_for_is_refused_unless_it_is_excluded(load_table, name):
    table = {name: [1, 2] * (N // 2), "x": [1, 2, 3] * (N // 3), "y": Y}
    with pytest.raises(DataError, match="rename it, or exclude it"):
        load_table(table)
    assert list(features(load_table(table, more=f"exclude = ['''{name}''']"))) == ["x"]
