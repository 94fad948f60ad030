from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring import spec
from mainspring.data.canonical import TIME
from mainspring.data.dataset import Dataset, load, with_live
from mainspring.data.parsing import FROM_TEXT, MISSING, parse_text
from mainspring.errors import DataError

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_live_rows_take_the_form_of_the_data_unless_that_would_change_a_number():
    rows = pa.table({"n": [1, 2], "m": [1, 2], "late": ["a", "b"]})
    live = pa.table({"n": [3.0, None], "m": [2.5, 3.0]})
    both = with_live(rows, live)
    assert both.schema.types == [pa.int64(), pa.float64(), pa.string()]
    assert both.to_pydict() == {"n": [1, 2, 3, None], "m": [1, 2, 2.5, 3], "late": ["a", "b", None, None]}
    with pytest.raises(DataError, match="live rows have 'n' as string, which cannot be made int64"):
        with_live(rows, pa.table({"n": ["x"]}))


def test_take(load_table, customers):
    dataset = load_table(customers, more='time = "joined"\ngroup = "household"')
    rows = dataset.truth == 1
    some = dataset.take(rows)
    again = dataset.take(np.flatnonzero(rows))
    for taken in (some, again):
        assert len(taken) == rows.sum() == len(taken.truth) == len(taken.time) == len(taken.group)
        assert taken.table["age"].to_pylist() == taken.columns["age"].tolist()
        assert taken.hashes.tolist() == dataset.hashes[rows].tolist()
        assert (taken.schema, taken.fingerprint, taken.notes) == (dataset.schema, dataset.fingerprint, dataset.notes)
    assert list(dataset.take(np.array([2, 0])).columns["age"]) == [dataset.columns["age"][2], dataset.columns["age"][0]]


def test_group_is_no_feature_but_time_is(load_table, customers):
    dataset = load_table(customers, more='time = "joined"\ngroup = "household"')
    assert [column.name for column in dataset.schema.features] == ["age", "plan", "joined"]
    assert list(dataset.columns) == ["age", "plan", "joined"]
    assert dataset.time.dtype == np.int64
    assert dataset.group.tolist() == customers["household"].to_pylist()
    excluded = load_table(customers, more='time = "joined"\nexclude = ["joined"]')
    assert "joined" not in excluded.columns
    assert excluded.time.tolist() == dataset.time.tolist()


def test_leaks_are_reported(load_table, customers):
    codes = ["left" if left else "stays" for left in customers["y"].to_pylist()]
    dataset = load_table(customers.append_column("status", pa.array(codes)))
    assert dataset.notes == (
        "status gives the target away: alone it explains 100.0% of y. If it is not known when the model is asked: "
        'exclude = ["status"].',
    )
    assert "status" in dataset.columns


def test_the_fingerprint_is_that_of_the_data(load_table, customers):
    first = load_table(customers)
    assert load_table(customers).fingerprint == first.fingerprint
    assert load_table(customers[:299]).fingerprint != first.fingerprint


def test_the_face_is_frozen(load_table, customers):
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_table(customers).notes = ()


def test_flights_load_quickly():
    project = spec.load(EXAMPLES / "airdesk")
    start = time.process_time()
    dataset = load(project, "delay")
    assert time.process_time() - start < 5  # about 1 s
    assert len(dataset) == 327_346
    assert dataset.schema.target.labels == (False, True)
    assert dataset.schema.feature("temperature").unit == "°F"
    assert dataset.notes == ()


WORDS = st.text("abcdefghé ,\"'\n;\t", min_size=1, max_size=8).filter(
    # what CSV cannot tell apart from something else: spaces around a mark for missing, and one-letter booleans
    lambda text: text.strip() and text == text.strip() and not _means_something(text)
)
TIMES = st.integers(0, 4 * 10**9 * 10**6)
VALUES = {
    "whole": (pa.int64(), st.integers(-(2**53), 2**53)),
    "real": (pa.float64(), st.floats(-1e12, 1e12).map(lambda value: value + 0.0)),
    "flag": (pa.bool_(), st.booleans()),
    "word": (pa.string(), WORDS),
    "code": (pa.string(), st.from_regex(r"0[0-9]{1,4}", fullmatch=True)),
    "at": (TIME, TIMES),
}


def _means_something(text: str) -> bool:
    return parse_text(pa.table({"a": [text]}), FROM_TEXT, {}, MISSING)["a"].to_pylist() != [text]


@st.composite
def tables(draw):
    rows = draw(st.integers(20, 30))
    columns = {}
    for name in draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=6, unique=True)):
        type_, values = VALUES[name]
        column = draw(st.lists(st.one_of(st.none(), values), min_size=rows, max_size=rows))
        columns[name] = pa.array(column, type_)
    columns["base"] = pa.array([0.5, 1.5] * 15, pa.float64())[:rows]
    columns["y"] = pa.array(["no way", "of course"] * 15)[:rows]
    return pa.table(columns)


def write_csv(table: pa.Table, path: Path) -> None:
    pa.csv.write_csv(table, path)


def write_json(table: pa.Table, path: Path) -> None:
    rows = table.to_pylist()
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, default=_iso) + "\n")


def _iso(value: datetime) -> str:
    return value.isoformat()


@settings(max_examples=40, deadline=None)
@given(tables())
def test_every_format_reads_back_to_the_same(table):
    found: list[Dataset] = []
    with tempfile.TemporaryDirectory() as folder:
        writers = {
            "a.parquet": pa.parquet.write_table,
            "a.csv": write_csv,
            "a.jsonl": write_json,
        }
        for name, write in writers.items():
            write(table, Path(folder) / name)
            text = f'[project]\nname = "p"\n[models.m]\ntask = "classification"\ntarget = "y"\ndata = "{name}"'
            found.append(load(spec.parse(text, Path(folder)), "m"))
    first = found[0]
    for other in found[1:]:
        assert other.schema == first.schema
        assert other.hashes.tolist() == first.hashes.tolist()
        assert other.truth.tolist() == first.truth.tolist()
        for name, values in first.columns.items():
            np.testing.assert_array_equal(other.columns[name], values)


def test_the_column_of_times_is_read_as_times(project, tmp_path):
    rows = [f"2024-01-{day:02},{day % 2},{'ab'[day % 3 % 2]}" for day in range(1, 30)]
    (tmp_path / "a.csv").write_text("\n".join(["at,x,y", *rows, "soon,1,a"]))
    with pytest.raises(DataError, match="column 'at', row 30: expected an ISO 8601 date or time; found 'soon'"):
        load(project("a.csv", more='time = "at"'), "m")


def test_times_beyond_the_usual(load_table):
    old = [datetime(1900, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(40)]
    dataset = load_table({"at": old, "x": [1, 2] * 20, "y": ["a", "b", "b", "a"] * 10}, more='time = "at"')
    assert dataset.time[0] < 0
