import tracemalloc

import numpy as np
import pytest

from mainspring.monitoring.sampling import Sample


def sample_of(*batches, most=2000, seed=0):
    sample = Sample(most, seed)
    for values in batches:
        sample.add({"x": values, "twice": np.column_stack([values, 2 * values])})
    return sample


ROWS = np.arange(10_000)


def test_it_does_not_depend_on_the_batches():
    whole, parted = sample_of(ROWS), sample_of(*np.split(ROWS, [0, 1, 700, 2001, 2002, 9999]))
    np.testing.assert_array_equal(parted.columns["x"], whole.columns["x"])
    assert parted.rows == whole.rows == 10_000


def test_some_rows_each_once_as_they_came():
    sample = sample_of(*np.split(ROWS, 10))
    assert len(sample) == len(sample.columns["x"]) == 2000
    assert (np.diff(sample.columns["x"]) > 0).all()
    np.testing.assert_array_equal(sample.columns["twice"][:, 1], 2 * sample.columns["x"])


def test_few_rows_are_all_kept():
    np.testing.assert_array_equal(sample_of(ROWS[:1500], ROWS[1500:2000]).columns["x"], ROWS[:2000])
    assert len(Sample(5)) == Sample(5).rows == 0


def test_another_seed_keeps_other_rows():
    assert (sample_of(ROWS, seed=1).columns["x"] != sample_of(ROWS).columns["x"]).any()


def test_every_row_is_as_likely():
    kept = [sample_of(*np.split(ROWS, 10), seed=seed).columns["x"] // 1000 for seed in range(40)]
    assert np.bincount(np.concatenate(kept)) / (40 * 2000) == pytest.approx(np.full(10, 0.1), abs=0.005)


def test_what_is_not_kept_is_forgotten():
    sample, batch = Sample(100), {"x": np.zeros(1000)}
    tracemalloc.start()
    try:
        for _ in range(200):
            sample.add(batch)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100_000  # bytes; all rows would be 1,600,000
    assert (len(sample), sample.rows) == (100, 200_000)
