import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.monitoring.profiles import ColumnProfile, Profile, describe, profile
from mainspring.schema import MISSING_TEXT, MISSING_TIME, Column, Schema, Target

SCHEMA = Schema(
    (
        Column("size", "number", nullable=True),
        Column("member", "boolean", nullable=True),
        Column("plan", "category", nullable=True),
        Column("seen", "time", nullable=True),
        Column("said", "text", nullable=True),
    ),
    Target("y", (False, True)),
)
COLUMNS = {
    "size": np.array([1.0, 2.0, 3.0, np.nan]),
    "member": np.array([1.0, 1.0, 0.0, np.nan]),
    "plan": np.array(["a", "a", "b", MISSING_TEXT], object),
    "seen": np.array([0, 1_000_000, 2_000_000, MISSING_TIME]),
    "said": np.array(["a", "bb", "ccc", MISSING_TEXT], object),
}
OUTPUTS = {"label": np.array(["true"] * 3 + ["false"], object), "probability:true": np.array([0.9, 0.8, 0.7, 0.1])}


def test_each_kind_in_its_own_way():
    found = profile(COLUMNS, SCHEMA, OUTPUTS)
    assert found.rows == 4
    assert list(found.inputs) == list(COLUMNS)
    assert {column.missing for column in found.inputs.values()} == {0.25}
    size, seen, said = (found.inputs[name].quantiles for name in ("size", "seen", "said"))
    assert size == pytest.approx(np.linspace(1, 3, 201), abs=1e-12)
    assert said == pytest.approx(size, abs=1e-12)  # the lengths of the texts
    assert seen == pytest.approx(np.linspace(0, 2_000_000, 201), abs=1e-6)
    assert found.inputs["member"].shares == pytest.approx({"true": 2 / 3, "false": 1 / 3})
    assert found.inputs["plan"].shares == pytest.approx({"a": 2 / 3, "b": 1 / 3})
    assert found.outputs["label"] == ColumnProfile(0.0, shares={"true": 0.75, "false": 0.25})
    assert found.outputs["probability:true"].quantiles[0] == 0.1


def test_another_table_has_another_profile():
    other = {**COLUMNS, "size": COLUMNS["size"] + 1, "plan": np.array(["a", "b", "b", ""], object)}
    one, two = profile(COLUMNS, SCHEMA, OUTPUTS), profile(other, SCHEMA, OUTPUTS)
    assert {name for name in COLUMNS if one.inputs[name] != two.inputs[name]} == {"size", "plan"}


def test_it_travels_as_json():
    found = profile(COLUMNS, SCHEMA, OUTPUTS)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Profile) == found


@given(st.lists(st.floats(allow_infinity=False), min_size=1, max_size=50))
@settings(max_examples=100, deadline=None)
def test_numbers_of_any_size(values):
    values = np.array(values)
    known = values[~np.isnan(values)]
    found = describe(values)
    assert found.missing == pytest.approx(1 - len(known) / len(values), abs=1e-12)
    assert found.shares == {}
    if not len(known):
        assert found.quantiles == []
        return
    assert len(found.quantiles) == 201
    assert np.isfinite(found.quantiles).all()
    assert found.quantiles == pytest.approx(sorted(found.quantiles), rel=1e-15)
    smallest = 5e-324  # halving may lose the last bit of a denormal number
    assert found.quantiles[0] == pytest.approx(known.min(), rel=1e-15, abs=smallest)
    assert found.quantiles[-1] == pytest.approx(known.max(), rel=1e-15, abs=smallest)
    assert msgspec.json.decode(msgspec.json.encode(found), type=ColumnProfile) == found


def test_quantiles_are_those_of_numpy():
    values = np.random.default_rng(0).lognormal(3, 2, size=1000)
    assert describe(values).quantiles == pytest.approx(np.quantile(values, np.linspace(0, 1, 201)), rel=1e-13)


@given(st.lists(st.sampled_from(["", "a", "b", "Ü ✈", " "]), min_size=1, max_size=50))
@settings(max_examples=50, deadline=None)
def test_shares_of_text_add_up(values):
    found = describe(np.array(values, object))
    known = [value for value in values if value]
    assert found.missing == pytest.approx(values.count("") / len(values))
    assert found.shares == {value: pytest.approx(known.count(value) / len(known)) for value in set(known)}
    assert found.other == 0
    assert found.quantiles == []


def test_rare_values_past_the_200_most_frequent_are_other():
    values = np.array([f"v{number}" for number in range(300) for _ in range(2 if number < 200 else 1)], object)
    found = describe(values)
    assert set(found.shares) == {f"v{number}" for number in range(200)}
    assert found.other == pytest.approx(100 / 500, abs=1e-12)
    assert sum(found.shares.values()) + found.other == pytest.approx(1, abs=1e-12)
    assert describe(values[:400]).other == 0


@pytest.mark.parametrize("values", [np.array([np.nan] * 3), np.array([MISSING_TEXT] * 3, object)])
def test_a_column_without_a_value(values):
    assert describe(values) == ColumnProfile(missing=1.0)
