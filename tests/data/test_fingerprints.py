from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from mainspring.data.fingerprints import hash_texts, mix, row_hashes, table_fingerprint
from mainspring.schema import MISSING_TIME, Column

FEATURES = (Column("n", "number"), Column("t", "time"), Column("c", "category"))


PINNED = ["0xd6141df5b4fab9ba", "0x4bb6485715c9bf94"]


def columns(n=(1.5, 2.0), t=(0, 5), c=("a", "b")):
    return {"n": np.array(n, float), "t": np.array(t, np.int64), "c": np.array(c, object)}


def test_splitmix64_is_the_published_one():
    # The first outputs of the reference implementation for the seed 0: the state grows by the golden ratio.
    states = np.arange(3, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert [hex(value) for value in mix(states)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f"]


def test_the_hashes_of_today_are_those_of_tomorrow():
    """A change here moves every row of every user to another side of the holdout."""
    assert [hex(value) for value in row_hashes(columns(), FEATURES)] == PINNED
    code = (
        "import numpy as np; from mainspring.data.fingerprints import *; from mainspring.schema import Column;"
        "c = {'n': np.array([1.5, 2.0]), 't': np.array([0, 5]), 'c': np.array(['a', 'b'], object)};"
        "f = (Column('n', 'number'), Column('t', 'time'), Column('c', 'category'));"
        "print(*(hex(value) for value in row_hashes(c, f)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == PINNED


def test_a_row_is_its_content():
    hashes = row_hashes(columns(), FEATURES)
    assert row_hashes(columns(), FEATURES[::-1]).tolist() == hashes.tolist()
    assert hashes[0] != hashes[1]
    for other in (columns(n=(1.5000001, 2)), columns(t=(1, 5)), columns(c=("A", "b"))):
        found = row_hashes(other, FEATURES)
        assert found[0] != hashes[0]
        assert found[1] == hashes[1]


def test_equal_values_in_other_columns_are_other_rows():
    pair = (Column("a", "number"), Column("b", "number"))
    values = {"a": np.array([1.0, 2.0]), "b": np.array([2.0, 1.0])}
    first, second = row_hashes(values, pair)
    assert first != second


def test_both_zeros_and_all_nans_are_equal():
    other_nan = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]
    assert len(set(row_hashes(columns(n=(0.0, -0.0), t=(1, 1), c=("", "")), FEATURES))) == 1
    assert len(set(row_hashes(columns(n=(np.nan, other_nan), t=(1, 1), c=("", "")), FEATURES))) == 1


def test_a_column_that_old_rows_lack_leaves_their_hash():
    before = row_hashes(columns(), FEATURES)
    for kind, missing in (("number", np.nan), ("category", ""), ("time", MISSING_TIME)):
        dtype = {"number": float, "category": object, "time": np.int64}[kind]
        after = columns() | {"new": np.array([missing, missing], dtype)}
        assert row_hashes(after, (*FEATURES, Column("new", kind))).tolist() == before.tolist()


def test_hashes_are_spread_evenly():
    hashes = row_hashes({"n": np.arange(64_000, dtype=float)}, (Column("n", "number"),))
    for shift in (0, 29, 58):
        counts = np.bincount((hashes >> np.uint64(shift)).astype(np.int64) & 63, minlength=64)
        assert counts.min() > 850  # 1000 are expected, with a standard deviation of 31
        assert counts.max() < 1150
    assert len(set(hashes)) == 64_000


def test_texts():
    assert hash_texts(np.array(["", "a", "a", "b"], object)).tolist()[0] == 0
    assert len(set(hash_texts(np.array(["", "a", "a", "b"], object)))) == 3
    assert len(hash_texts(np.array([], object))) == 0


TABLE = pa.table({"a": ["x", None, "y"], "b": [1, 2, None], "c": [0.5, None, -0.0], "d": [True, None, False]})


def test_a_fingerprint_does_not_depend_on_chunks_or_encoding():
    expected = table_fingerprint(TABLE)
    assert len(expected) == 64
    assert table_fingerprint(pa.concat_tables([TABLE[:1], TABLE[1:]])) == expected
    encoded = TABLE.set_column(0, "a", TABLE["a"].dictionary_encode())
    assert table_fingerprint(encoded) == expected
    assert table_fingerprint(pa.concat_tables([TABLE, TABLE])[3:]) == expected


@pytest.mark.parametrize(
    "other",
    [
        TABLE.rename_columns(["a", "b", "c", "e"]),
        TABLE[:2],
        TABLE.take([1, 0, 2]),
        TABLE.select(["b", "a", "c", "d"]),
        TABLE.set_column(1, "b", pa.array([1.0, 2.0, None])),
        TABLE.set_column(1, "b", pa.array([1, 3, None])),
        TABLE.set_column(1, "b", pa.array([1, None, 2])),
        TABLE.set_column(0, "a", pa.array(["x", None, "z"])),
        TABLE.set_column(3, "d", pa.array([True, None, True])),
    ],
)
def test_a_fingerprint_changes_with_the_content(other):
    assert table_fingerprint(other) != table_fingerprint(TABLE)
