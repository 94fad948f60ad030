"""Which rows are held out, and how the others are divided for cross-validation.

The holdout is decided by content, never by place, and written down in a `Split` that travels with the version: later,
for any newer table, it says which rows this version was not fitted on. So two versions can be compared on rows that
neither saw.

    hash    a row is held out if the hash of its values falls into the share: a row keeps its side for ever, and equal
            rows are on one side
    group   the same with the hash of the group: a group is never torn, and keeps its side for ever
    time    the newest rows are held out; rows of the same time are on one side. Together with groups, a group counts as
            its newest row, and is never torn

The parts of cross-validation follow the same rules: stratified by label, whole groups, or always tested on what came
later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa

from mainspring.data.conform import conform
from mainspring.data.dataset import Dataset, row_groups, row_times
from mainspring.data.fingerprints import hash_texts, mix, row_hashes
from mainspring.errors import DataError
from mainspring.schema import Column, label_text
from mainspring.spec import DataSpec

# The last part of a fold's training rows, on which early stopping is judged: about 15 %.
_INNER_PARTS = 7


class Split(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the holdout of one version was chosen; see the module for what each method keeps.

    `hashed` are the columns that rows are hashed by, and `below` is the bound on their hash (0 … 1) under which they
    are held out. `cutoff` is the last time on the fit side, and `seen_until` the last time in the data then, both in
    microseconds since 1970 UTC.
    """

    method: Literal["hash", "group", "time"]
    hashed: tuple[Column, ...] = ()
    below: float = 0.0
    group: str | None = None
    time: str | None = None
    cutoff: int = 0
    seen_until: int = 0

    def is_holdout(self, table: pa.Table) -> np.ndarray:
        """Which rows of `table`, the same or a newer one, the version was not and would not have been fitted on.

        (n,) bool. With `time`, all rows newer than the data then are held out, except (with groups too) those of a
        group whose older rows were fitted on.

        Raises:
            DataError: the table lacks a column that the split goes by, or has holes in it.
        """
        if self.time:
            time = row_times(table, self.time)
            if self.group:
                time = _newest_of_group(time, hash_texts(row_groups(table, self.group)), self.seen_until)
            return time > self.cutoff
        if self.group:
            return _uniform(hash_texts(row_groups(table, self.group))) < self.below
        return _uniform(row_hashes(conform(table, self.hashed), self.hashed)) < self.below


def hold_out(dataset: Dataset, spec: DataSpec) -> Split:
    """As `divide`, so that there is something to learn and to judge by on both sides.

    Raises:
        DataError: the rows cannot be divided, or a side lacks labels.
    """
    split = divide(dataset, spec)
    _check_labels(dataset, split.is_holdout(dataset.table))
    return split


def divide(dataset: Dataset, spec: DataSpec) -> Split:
    """The split that holds out about the share `spec.holdout` of the rows.

    Raises:
        DataError: all rows are of one time, of one group, or equal.
    """
    rows = _Rows.of(dataset)
    if rows.time is not None:
        return Split(
            method="time",
            time=spec.time,
            group=spec.group,
            cutoff=_cutoff(rows.time, spec.holdout, f"all rows have the same {spec.time}"),
            seen_until=int(rows.time.max()),
        )
    if rows.group is not None:
        below = _bound(_uniform(rows.group), spec.holdout, f"all rows have the same {spec.group}")
        return Split(method="group", group=spec.group, below=below)
    # Levels and bounds say nothing about a hash, and would fill the manifest.
    hashed = tuple(Column(column.name, column.kind) for column in dataset.hashed)
    return Split(method="hash", hashed=hashed, below=_bound(_uniform(rows.hashes), spec.holdout, "all rows are equal"))


def folds(dataset: Dataset, count: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Up to `count` pairs of places in `dataset`: rows to train on, and rows to validate on.

    Each row is validated on once, except: with `time`, the windows expand, and the oldest rows are only trained on; a
    row whose label no other row has is only trained on. The folds do not depend on the order of the rows. There are
    fewer where there are fewer groups or times.

    Raises:
        DataError: there are not two groups, two times, or two rows with a label that another has.
    """
    rows = _Rows.of(dataset)
    if rows.time is not None:
        block = _blocks(rows.time, count + 1)
        pairs = [(block < later, block == later) for later in range(1, block.max() + 1)]
    else:
        part = _deal(rows, count, seed)
        pairs = [(part != one, part == one) for one in np.unique(part[part >= 0])]
    if not any(train.any() for train, _ in pairs):
        raise DataError(
            "the rows cannot be divided into folds: they are all of one group or time, or each has a label of its own"
        )
    return [(np.flatnonzero(train), np.flatnonzero(validation)) for train, validation in pairs]


def inner_split(dataset: Dataset, rows: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Divide `rows` (places in `dataset`): those to fit, and about 15 % on which early stopping is judged.

    These are the newest rows, whole groups, or drawn by label; where there is one time or one group only, drawn by
    label. There are none where no row can be spared.
    """
    some = _Rows.of(dataset).take(rows)
    if some.time is not None and some.time.min() < some.time.max():
        stopping = some.time > _cutoff(some.time, 1 / _INNER_PARTS)
        return rows[~stopping], rows[stopping]
    part = _deal(some, _INNER_PARTS, seed)
    if part.min() == part.max():
        part = _deal(some.ungrouped(), _INNER_PARTS, seed)
    sizes = np.bincount(part[part >= 0])
    found = np.flatnonzero(sizes)
    if len(found) < 2:
        return rows, rows[:0]
    stopping = part == found[np.argmin(np.abs(sizes[found] - len(rows) / _INNER_PARTS))]
    return rows[~stopping], rows[stopping]


@dataclass(frozen=True)
class _Rows:
    """What dividing rows goes by. With groups, `time` is the newest time in the row's group."""

    hashes: np.ndarray
    truth: np.ndarray
    labelled: bool
    time: np.ndarray | None
    group: np.ndarray | None  # uint64

    @classmethod
    def of(cls, dataset: Dataset) -> _Rows:
        time = dataset.time
        group = None if dataset.group is None else hash_texts(dataset.group)
        if time is not None and group is not None:
            time = _newest_of_group(time, group, int(time.max()))
        return cls(dataset.hashes, dataset.truth, bool(dataset.schema.target.labels), time, group)

    def take(self, rows: np.ndarray) -> _Rows:
        time = None if self.time is None else self.time[rows]
        group = None if self.group is None else self.group[rows]
        return _Rows(self.hashes[rows], self.truth[rows], self.labelled, time, group)

    def ungrouped(self) -> _Rows:
        return _Rows(self.hashes, self.truth, self.labelled, None, None)


def _deal(rows: _Rows, parts: int, seed: int) -> np.ndarray:
    """The part (0 … parts - 1) of each row, as cards are dealt from a deck shuffled by hash; -1: in no part."""
    salt = mix(np.array([seed], np.int64).view(np.uint64))
    if rows.group is not None:
        return _deal_groups(rows.group, mix(rows.group ^ salt), parts)
    order = np.lexsort((rows.truth, mix(rows.hashes ^ salt)))
    part = np.full(len(order), -1)
    if rows.labelled:
        # Label after label, the deal going on where it stopped: each part gets its share of each label.
        order = order[np.argsort(rows.truth[order], kind="stable")]
        alone = np.bincount(rows.truth)[rows.truth[order]] == 1
        order = order[~alone]
    part[order] = np.arange(len(order)) % parts
    return part


def _deal_groups(groups: np.ndarray, keys: np.ndarray, parts: int) -> np.ndarray:
    """Whole groups, the largest first, each to the part that has the fewest rows."""
    _, first, inverse, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    sizes = np.zeros(parts, np.int64)
    part_of_group = np.empty(len(counts), np.int64)
    for group in np.lexsort((keys[first], -counts)):
        part_of_group[group] = smallest = np.argmin(sizes)
        sizes[smallest] += counts[group]
    return part_of_group[inverse]


def _blocks(time: np.ndarray, count: int) -> np.ndarray:
    """Up to `count` blocks of about equal size, oldest first; rows of equal time are in one."""
    _, inverse, counts = np.unique(time, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    block = np.floor(middle / len(time) * count)
    return np.unique(block, return_inverse=True)[1][inverse]


def _newest_of_group(time: np.ndarray, group: np.ndarray, until: int) -> np.ndarray:
    """For each row the newest time in its group that is not after `until`; groups wholly after it are newest of all."""
    _, inverse = np.unique(group, return_inverse=True)
    newest = np.full(inverse.max() + 1, np.iinfo(np.int64).min)
    np.maximum.at(newest, inverse, np.where(time <= until, time, np.iinfo(np.int64).min))
    newest[newest == np.iinfo(np.int64).min] = np.iinfo(np.int64).max
    return newest[inverse]


def _cutoff(time: np.ndarray, share: float, problem: str = "") -> int:
    """The time after which there is about that share of the rows, and never none or all."""
    times, counts = np.unique(time, return_counts=True)
    if len(times) < 2:
        raise DataError(f"no rows can be held out: {problem}")
    later = len(time) - np.cumsum(counts)[:-1]
    return int(times[np.argmin(np.abs(later - share * len(time)))])


def _uniform(hashes: np.ndarray) -> np.ndarray:
    """uint64 → float64 in [0, 1)."""
    return (mix(hashes) >> np.uint64(11)) * 2.0**-53


def _bound(uniform: np.ndarray, share: float, problem: str) -> float:
    """`share`, moved where nothing or everything lay below it, as can be with few groups."""
    values = np.unique(uniform)
    if len(values) < 2:
        raise DataError(f"no rows can be held out: {problem}")
    return float(np.clip(share, values[1], values[-1])) if not values[0] < share <= values[-1] else share


def _check_labels(dataset: Dataset, holdout: np.ndarray) -> None:
    labels = dataset.schema.target.labels
    if not labels:
        return
    fitted = np.bincount(dataset.truth[~holdout], minlength=len(labels))
    if absent := [label_text(labels[code]) for code in np.flatnonzero(fitted == 0)]:
        raise DataError(
            f"every row with the label {', '.join(absent)} is held out, so it cannot be learned: add rows, merge "
            "labels, leave those rows out, or change `holdout`"
        )
    if len(np.unique(dataset.truth[holdout])) < 2:
        only = label_text(labels[dataset.truth[holdout][0]])
        raise DataError(
            f"every one of the {int(holdout.sum()):,} rows held out has the label {only}, so nothing can be judged on "
            "them: add rows, or raise `holdout`"
        )
