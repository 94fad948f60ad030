import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.monitoring.tallies import CategoryCounter, NumberCounter

NUMBERS = st.lists(st.floats(allow_infinity=False), max_size=30)


def counted(cuts, *batches):
    counter = NumberCounter(np.array(cuts))
    for values in batches:
        counter.add(np.array(values))
    return counter.tally


def test_cells():
    tally = counted([0.0, 1.0], [-1.0, 0.0, 0.0, 0.5, 1.0, 3.0, np.nan])
    assert tally.cells.tolist() == [1, 2, 1, 1, 1]
    assert (tally.rows, tally.missing, tally.below, tally.above) == (6, 1, 1.0, 2.0)


@pytest.mark.parametrize("cuts", [0, 1, 2, 3, 4, 7, 8, 201])
def test_cells_are_those_of_searchsorted(cuts):
    random = np.random.default_rng(cuts)
    cuts = np.unique(random.integers(-300, 300, cuts)) / 2.0
    values = np.append(random.integers(-350, 350, 2000) / 2.0, [np.inf, -np.inf])
    below, not_above = (np.searchsorted(cuts, values, side) for side in ("left", "right"))
    expected = np.bincount(below + not_above, minlength=2 * len(cuts) + 1)
    assert counted(cuts, values).cells.tolist() == expected.tolist()


def test_nothing_known_has_no_moments():
    for nothing in (counted([0.0]), counted([0.0], [np.nan])):
        assert nothing.rows == 0
        assert np.isnan([nothing.mean, nothing.deviation]).all()


@given(st.lists(NUMBERS, max_size=4), st.lists(st.floats(-5, 5), max_size=4, unique=True))
@settings(max_examples=100, deadline=None)
def test_batches_add_up(batches, cuts):
    cuts = np.sort(cuts)
    parted, whole = counted(cuts, *batches), counted(cuts, np.concatenate([*batches, []]))
    assert parted.cells.tolist() == whole.cells.tolist()
    assert (parted.rows, parted.missing) == (whole.rows, whole.missing)
    # Where squares are less than the least float, a deviation is 0.
    greatest = max((abs(value) for values in batches for value in values if value == value), default=1.0)
    for name in ("mean", "deviation", "below", "above"):
        found, expected = getattr(parted, name), getattr(whole, name)
        assert found == pytest.approx(expected, rel=1e-9, abs=max(1e-9 * greatest, 1e-150), nan_ok=True), name


def test_moments_keep_their_digits_far_from_zero():
    values = 1e9 + np.random.default_rng(0).normal(size=10_000)
    assert counted([0.0], *np.split(values, 100)).deviation == pytest.approx(values.std(), rel=1e-6)


def test_categories():
    counter = CategoryCounter(["a", "b"])
    for values in (["a", "z", "", "z"], [], ["a", "z"]):
        counter.add(np.array(values, dtype=object))
    tally = counter.tally
    assert (tally.rows, tally.missing, tally.counts.tolist(), tally.outside) == (5, 1, [2, 0], 3)
