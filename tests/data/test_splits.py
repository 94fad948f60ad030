from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from mainspring.data.dataset import Dataset
from mainspring.data.splits import Split, folds, hold_out, inner_split
from mainspring.errors import DataError
from mainspring.schema import Schema, Target
from mainspring.spec import RegressionSpec

DAY = 86_400_000_000
METHODS = {"hash": "", "group": 'group = "household"', "time": 'time = "joined"'}
BOTH = 'time = "joined"\ngroup = "household"'


@pytest.fixture
def split_of(load_table, project):
    """The dataset of a table, and the split of it."""

    def make(table: pa.Table, more: str, task: str = "classification") -> tuple[Dataset, Split]:
        dataset = load_table(table, more=more, task=task)
        return dataset, hold_out(dataset, project("table.parquet", more=more, task=task).models["m"])

    return make


@pytest.mark.parametrize("more", [*METHODS.values(), BOTH])
def test_about_the_share_is_held_out_and_the_split_survives_writing(split_of, customers, more):
    dataset, split = split_of(customers, more)
    holdout = split.is_holdout(dataset.table)
    assert 0.12 < holdout.mean() < 0.28
    again = msgspec.json.decode(msgspec.json.encode(split), type=Split)
    assert again == split
    assert (again.is_holdout(dataset.table) == holdout).all()


@pytest.mark.parametrize("more", [*METHODS.values(), BOTH])
def test_the_order_of_rows_and_columns_is_of_no_account(split_of, customers, more):
    dataset, split = split_of(customers, more)
    holdout = split.is_holdout(dataset.table)
    order = np.random.default_rng(0).permutation(len(dataset))
    shuffled = customers.take(order).select(customers.column_names[::-1])
    _, other = split_of(shuffled, more)
    assert other.is_holdout(shuffled).tolist() == holdout[order].tolist()


@pytest.mark.parametrize("more", [METHODS["hash"], METHODS["group"]])
@pytest.mark.parametrize("cut", [100, 250])
def test_a_row_keeps_its_side_when_the_data_grows(split_of, customers, more, cut):
    dataset, split = split_of(customers, more)
    before, old = split_of(customers[:cut], more)
    assert (old.is_holdout(before.table) == split.is_holdout(dataset.table)[:cut]).all()
    assert (old.is_holdout(dataset.table) == split.is_holdout(dataset.table)).all()


def test_a_row_keeps_its_side_when_a_constant_gets_a_second_value_and_when_a_column_is_added(split_of, customers):
    constant = customers.append_column("country", pa.array(["at"] * 300))
    before, old = split_of(constant[:200], "")
    assert "country is dropped as a constant: every value is at." in before.notes
    mixed = customers.append_column("country", pa.array(["at"] * 200 + ["de"] * 100))
    dataset, new = split_of(mixed, "")
    assert dataset.schema.feature("country").levels == ("at", "de")
    assert (new.is_holdout(mixed)[:200] == old.is_holdout(before.table)).all()
    wider = mixed.append_column("fresh", pa.array([None] * 250 + ["a", "b"] * 25))
    _, newest = split_of(wider, "")
    assert (newest.is_holdout(wider)[:200] == old.is_holdout(before.table)).all()


def test_equal_rows_are_on_one_side(split_of, customers):
    twice = pa.concat_tables([customers, customers])
    dataset, split = split_of(twice, "")
    holdout = split.is_holdout(dataset.table)
    assert (holdout[:300] == holdout[300:]).all()


def test_groups_are_never_torn(split_of, customers):
    for more in (METHODS["group"], BOTH):
        dataset, split = split_of(customers, more)
        holdout = split.is_holdout(dataset.table)
        assert not set(dataset.group[holdout]) & set(dataset.group[~holdout])


def test_the_newest_are_held_out_and_equal_times_are_never_torn(split_of, customers):
    dataset, split = split_of(customers, METHODS["time"])
    holdout = split.is_holdout(dataset.table)
    assert dataset.time[holdout].min() > dataset.time[~holdout].max() == split.cutoff
    assert split.seen_until == dataset.time.max()


def test_a_split_by_time_tells_what_an_older_version_was_fitted_on(split_of, customers):
    old_rows = customers.filter(pa.compute.field("joined") < pa.scalar(150 * DAY).cast(pa.timestamp("us")))
    before, old = split_of(old_rows, METHODS["time"])
    later = old.is_holdout(pa.concat_tables([old_rows, customers]))
    assert (later[: len(before)] == old.is_holdout(before.table)).all()
    assert later[len(before) :].sum() == sum(
        at.timestamp() * 1e6 > old.cutoff for at in customers["joined"].to_pylist()
    )


def test_a_group_that_goes_on_after_the_split_stays_on_the_fit_side():
    old = Split(method="time", time="at", group="who", cutoff=2 * DAY, seen_until=4 * DAY)
    rows = [("a", 1), ("a", 9), ("b", 1), ("b", 3), ("b", 9), ("c", 9)]
    table = pa.table(
        {"who": [who for who, _ in rows], "at": pa.array([day * DAY for _, day in rows], pa.timestamp("us", "UTC"))}
    )
    # "a" was fitted on; "b" was held out; "c" came only later.
    assert old.is_holdout(table).tolist() == [False, False, True, True, True, True]


def test_holes_in_time_or_group_are_an_error(load_table, customers):
    for name, what in (
        ("joined", "the time that orders the rows"),
        ("household", "the group that keeps rows together"),
    ):
        place = customers.column_names.index(name)
        column = pa.chunked_array([customers[name].combine_chunks()[:299], pa.nulls(1, customers[name].type)])
        key = "time" if name == "joined" else "group"
        with pytest.raises(
            DataError, match=rf"{name} is {what}, and 1 rows have no value of it \(the first is row 300\)"
        ):
            load_table(customers.set_column(place, name, column), more=f'{key} = "{name}"')


def test_a_newer_table_without_the_column_is_an_error(split_of, customers):
    for more, name in (("", "plan"), (METHODS["group"], "household"), (METHODS["time"], "joined")):
        _, split = split_of(customers, more)
        with pytest.raises(DataError, match=f"the column '{name}' is missing"):
            split.is_holdout(customers.drop_columns([name]))


def test_what_cannot_be_divided(split_of, customers):
    same = pa.array(np.zeros(300, np.int64), pa.timestamp("us"))
    with pytest.raises(DataError, match="no rows can be held out: all rows have the same joined"):
        split_of(customers.set_column(2, "joined", same), METHODS["time"])
    with pytest.raises(DataError, match="no rows can be held out: all rows have the same household"):
        split_of(customers.set_column(3, "household", pa.array(["h"] * 300)), METHODS["group"])


def test_a_side_that_lacks_a_label(split_of, customers):
    ordered = customers.sort_by("joined").drop_columns(["y"])
    with pytest.raises(DataError, match="every row with the label true is held out, so it cannot be learned"):
        split_of(ordered.append_column("y", pa.array([False] * 290 + [True] * 10)), METHODS["time"])
    with pytest.raises(DataError, match=r"every one of the \d+ rows held out has the label false"):
        split_of(ordered.append_column("y", pa.array([True] * 10 + [False] * 290)), METHODS["time"])


def made(n=100, labels=0, groups=0, times=0, seed=0, distinct=True) -> Dataset:
    """A dataset of which only what dividing goes by is real."""
    draw = np.random.default_rng(seed)
    return Dataset(
        table=pa.table({"a": np.arange(n)}),
        schema=Schema((), Target("y", tuple(range(labels)))),
        columns={},
        truth=draw.integers(0, labels, n) if labels else draw.normal(size=n),
        time=draw.integers(0, times, n) * DAY if times else None,
        group=np.array([f"g{group}" for group in draw.integers(0, groups, n)], object) if groups else None,
        hashes=draw.integers(0, 2**63, n).astype(np.uint64) if distinct else np.zeros(n, np.uint64),
        hashed=(),
        fingerprint="",
        live=np.zeros(n, bool),
        notes=(),
    )


def test_few_groups_are_still_divided():
    for count in range(2, 8):
        for holdout in (0.01, 0.2, 0.89):
            dataset = made(60, groups=count)
            table = pa.table({"g": dataset.group})
            declared = RegressionSpec(task="regression", data="-", target="y", group="g", holdout=holdout)
            split = hold_out(replace(dataset, table=table), declared)
            assert 0 < split.is_holdout(table).mean() < 1


def test_folds_are_stratified():
    dataset = made(103, labels=3)
    for train, validation in folds(dataset, 5):
        assert sorted([*train, *validation]) == list(range(103))
        for label in range(3):
            share = (dataset.truth == label).sum() / 5
            assert abs((dataset.truth[validation] == label).sum() - share) <= 1


@pytest.mark.parametrize(
    "dataset", [made(101), made(101, labels=4), made(101, groups=30), made(101, labels=2, groups=9)]
)
def test_each_row_is_validated_on_once(dataset):
    pairs = folds(dataset, 5, seed=3)
    assert len(pairs) == 5
    assert sorted(np.concatenate([validation for _, validation in pairs])) == list(range(101))
    for train, validation in pairs:
        assert not set(train) & set(validation)
        assert 5 <= len(validation) <= 40


def test_rare_labels_do_not_crash_and_are_always_trained_on():
    dataset = made(40, labels=2)
    dataset.truth[:] = 0
    dataset.truth[0], dataset.truth[1:3] = 1, 2
    for train, validation in folds(dataset, 5):
        assert set(dataset.truth[train]) == {0, 1, 2}
        assert 0 not in validation


def test_groups_are_never_torn_by_folds():
    for times in (0, 20):
        dataset = made(200, groups=17, times=times)
        for train, validation in folds(dataset, 4):
            assert not set(dataset.group[train]) & set(dataset.group[validation])


def test_windows_expand_and_equal_times_are_never_torn():
    dataset = made(200, times=30)
    pairs = folds(dataset, 5)
    assert len(pairs) == 5
    for train, validation in pairs:
        assert dataset.time[train].max() < dataset.time[validation].min()
    assert [len(train) for train, _ in pairs] == sorted(len(train) for train, _ in pairs)
    assert len(folds(made(50, times=3), 5)) == 2


def test_folds_do_not_depend_on_the_order_of_rows_but_on_the_seed():
    for dataset in (made(80), made(80, labels=3), made(80, groups=20), made(80, times=9)):
        order = np.random.default_rng(1).permutation(80)
        shuffled = folds(dataset.take(order), 4, seed=7)
        for (_, first), (_, second) in zip(folds(dataset, 4, seed=7), shuffled, strict=True):
            assert sorted(order[second]) == first.tolist()
    assert folds(made(80), 4, seed=1)[0][1].tolist() != folds(made(80), 4, seed=2)[0][1].tolist()
    assert folds(made(80), 4, seed=-1)[0][1].tolist() == folds(made(80), 4, seed=-1)[0][1].tolist()


def test_one_group_or_one_time_gives_no_folds():
    for dataset in (made(50, groups=1), made(50, times=1), made(50, groups=1, times=9)):
        with pytest.raises(DataError, match="cannot be divided into folds: they are all of one group or time"):
            folds(dataset, 5)


@pytest.mark.parametrize(
    "dataset",
    [made(200), made(200, labels=3), made(200, groups=40), made(200, times=50), made(200, groups=40, times=90)],
)
def test_an_inner_split_follows_the_same_rules(dataset):
    rows = folds(dataset, 4)[-1][0]
    fitted, stopping = inner_split(dataset, rows)
    assert sorted([*fitted, *stopping]) == sorted(rows)
    assert 0.08 < len(stopping) / len(rows) < 0.25
    if dataset.group is not None:
        assert not set(dataset.group[fitted]) & set(dataset.group[stopping])
    if dataset.time is not None and dataset.group is None:
        assert dataset.time[fitted].max() < dataset.time[stopping].min()


def test_an_inner_split_of_one_group_or_time_goes_by_rows():
    for dataset in (made(70, groups=1), made(70, times=1), made(70, groups=1, times=5)):
        fitted, stopping = inner_split(dataset, np.arange(70))
        assert (len(fitted), len(stopping)) == (60, 10)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    n=st.integers(8, 60),
    labels=st.integers(0, 5),
    groups=st.integers(0, 9),
    times=st.integers(0, 9),
    parts=st.integers(2, 8),
    seed=st.integers(0, 99),
    distinct=st.booleans(),
)
def test_folds_and_inner_splits_of_anything(n, labels, groups, times, parts, seed, distinct):
    dataset = made(n, labels, groups, times, seed, distinct)
    try:
        pairs = folds(dataset, parts, seed)
    except DataError:
        event("cannot be divided")
        return
    for train, validation in pairs:
        assert len(train)
        assert len(validation)
        assert not set(train) & set(validation)
        if groups:
            assert not set(dataset.group[train]) & set(dataset.group[validation])
        elif times:
            assert dataset.time[train].max() < dataset.time[validation].min()
        if len(train) >= 2:
            fitted, stopping = inner_split(dataset, train, seed)
            assert sorted([*fitted, *stopping]) == sorted(train)
            assert len(fitted)
